import type { ReplayItem, Shown } from "@sallyport/proto/audit";
import { CommandCompleted_Status } from "@sallyport/proto/record";
import { visible, type Cell, type Printer } from "./output.ts";

/** Prints a session record by record. Rows are gathered until their result ends, so that they stand in one table. */
export interface ReplayView {
  show(item: ReplayItem): void;
  end(): void;
}

export function createReplayView(print: Printer): ReplayView {
  if (print.format !== "table") return structuredView(print);
  const { paint } = print;
  let columns: string[] = [];
  let rows: Cell[][] = [];
  const flush = (): void => {
    if (columns.length > 0) print.rows(columns, rows);
    columns = [];
    rows = [];
  };
  const shown = (what: Shown["what"]): void => {
    switch (what?.$case) {
      case "columns":
        flush();
        columns = what.value.names;
        return;
      case "row":
        rows.push(what.value.cells.map((cell) => cell.text ?? null));
        return;
      case "tag":
        flush();
        print.line(paint.dim(visible(what.value)));
        return;
      case "message": {
        flush();
        const { severity, code, message, detail, hint } = what.value;
        const line = `${severity} ${code}: ${visible(message)}`;
        print.line(severity === "NOTICE" ? paint.yellow(line) : paint.red(line));
        for (const extra of [detail, hint]) if (extra !== "") print.line(paint.dim(`  ${visible(extra)}`));
        return;
      }
      case "text":
        flush();
        print.line(what.value.split("\n").map(visible).join("\n").trimEnd());
        return;
      case undefined:
        return;
    }
  };
  return {
    show(item) {
      const head = `${paint.dim(time(item.atUs))} `;
      const fact = item.body?.fact;
      const line = fact === undefined ? undefined : describe(fact, paint);
      if (line !== undefined) {
        flush();
        print.line(head + line);
      }
      for (const { what } of item.shown) shown(what);
    },
    end: flush,
  };
}

/** For programs: one row per record. */
function structuredView(print: Printer): ReplayView {
  const rows: Cell[][] = [];
  return {
    show(item) {
      const fact = item.body?.fact;
      rows.push([item.seq, new Date(item.atUs / 1000).toISOString(), fact?.$case ?? "", detailOf(item)]);
    },
    end() {
      print.rows(["seq", "at", "kind", "detail"], rows);
    },
  };
}

function detailOf(item: ReplayItem): Cell {
  const fact = item.body?.fact;
  if (fact?.$case === "frameToClient")
    return JSON.parse(JSON.stringify(item.shown.map(({ what }) => what ?? null))) as Cell;
  return fact === undefined ? null : (JSON.parse(JSON.stringify(fact.value)) as Cell);
}

type Fact = NonNullable<NonNullable<ReplayItem["body"]>["fact"]>;

function describe(fact: Fact, paint: Printer["paint"]): string | undefined {
  switch (fact.$case) {
    case "sessionOpened":
      return `session opened by ${fact.value.principal?.id ?? "?"} from ${fact.value.clientAddress} to ${fact.value.connection}/${fact.value.database} (${fact.value.clientApplication})`;
    case "sessionRefused":
      return paint.red(`session refused: ${visible(fact.value.error)}`);
    case "sessionClosed":
      return `session closed after ${fact.value.commands} commands${fact.value.error === "" ? "" : `: ${visible(fact.value.error)}`}`;
    case "commandAdmitted":
      return `${paint.bold(visible(fact.value.text))}${fact.value.approvalId === "" ? "" : paint.dim(`  (grant ${fact.value.approvalId})`)}`;
    case "commandDenied":
      return `${paint.bold(visible(fact.value.text))}  ${paint.red("denied")}`;
    case "commandHeld":
      return paint.yellow(`held until approval ${fact.value.approvalId}`);
    case "statementPrepared":
      return `prepared ${visible(fact.value.text)}`;
    case "commandCompleted":
      return fact.value.status === CommandCompleted_Status.STATUS_UNKNOWN ? paint.red("outcome unknown") : undefined;
    case "cancelRequested":
      return paint.yellow("cancel requested");
    case "resultRefused":
      return paint.red(`withheld: ${visible(fact.value.reason)}`);
    case "verdictReached":
    case "commandForwarded":
    case "frameToClient":
    case "frameFromClient":
    case "resultMasked":
      return undefined;
  }
}

function time(us: number): string {
  return new Date(us / 1000).toISOString().slice(11, 23);
}
