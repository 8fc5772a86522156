import { bearer, items, type Api } from "@sallyport/cli/api";
import type { Profile } from "@sallyport/cli/home";
import { until } from "./until.ts";

export type Row = Readonly<Record<string, unknown>>;

/** The gateway's log, asked as somebody who may, through the public service. */
export interface AuditLog {
  ask(sql: string): Promise<Row[]>;
  /** Asks again until `enough` finds what it looks for. The log follows the data path, and `audit` may be starting. */
  find<T>(what: string, sql: string, enough: (rows: readonly Row[]) => T | undefined): Promise<T>;
}

export function auditLog(api: Api, reader: Profile): AuditLog {
  const ask = async (sql: string): Promise<Row[]> => {
    let columns: string[] = [];
    const rows: Row[] = [];
    const stream = api.audit.query({ sql, parameters: {}, maxRows: 0 }, bearer(reader.token));
    for await (const { part } of items(stream)) {
      if (part?.$case === "columns") columns = part.value.names;
      else if (part?.$case === "row") {
        const cells = JSON.parse(part.value.json) as unknown[];
        rows.push(Object.fromEntries(columns.map((column, index) => [column, cells[index]])));
      } else if (part?.$case === "done" && part.value.truncated) throw new Error(`too many rows: ${sql}`);
    }
    return rows;
  };
  return {
    ask,
    find: (what, sql, enough) =>
      until(what, async () => {
        try {
          return enough(await ask(sql));
        } catch (error) {
          if ((error as { code?: string }).code === "unavailable") return undefined;
          throw error;
        }
      }),
  };
}
