import type { Edge, EdgeSession, KnownVerdict, ResultMask, ResultShape } from "@sallyport/edge";
import type { FieldDescription } from "../wire/backend.ts";
import { BinaryMask } from "./copy-binary.ts";
import type { CopyMask } from "./copy-fields.ts";
import { LinesMask } from "./copy-lines.ts";
import { type CopyFormat, copyFormatOf } from "./copy-options.ts";
import { copyQueryOf } from "./copy-query.ts";
import type { Rows } from "./own-queries.ts";
import type { SessionState } from "./session-state.ts";

/** How a COPY TO STDOUT goes to a principal from whom something is hidden. `refused`: a sentence for people. */
export type CopyPlan = { kind: "pass" } | { kind: "mask"; mask: CopyMask } | { kind: "refused"; message: string };

export interface CopyQuestion {
  readonly edge: Pick<Edge, "maskFor">;
  readonly session: EdgeSession;
  readonly state: SessionState;
  readonly verdict: KnownVerdict;
  readonly text: string;
  /** A query of the gateway's own on the session's connection. */
  query(sql: string): Promise<Rows | undefined>;
  /** What a query returns, asked of the session's connection; undefined: the target refused. */
  describe(sql: string): Promise<readonly FieldDescription[] | undefined>;
}

type Columns = ResultShape["columns"];

const WAY_OUT = "Use a SELECT instead: its columns are masked one by one.";
const anything = { name: "copy", tableOid: 0, columnNumber: 0, typeOid: 25, binary: false };

/** Rejects with AppError when masking cannot be reached. */
export async function planCopy(question: CopyQuestion): Promise<CopyPlan> {
  const { edge, session, state, verdict, text } = question;
  const shape = { verdict, schemaTouched: state.schemaTouched, codeRan: state.codeRan };
  // As if it were one expression over everything that the command touches: nothing hidden in it, then nothing in the data.
  const whole = await edge.maskFor(session, { ...shape, columns: [anything] });
  if (whole.passesAll) return { kind: "pass" };

  const source = copyQueryOf(text);
  const format = copyFormatOf(text);
  if (format === undefined) return refused("COPY of hidden data is possible with plain options only.");
  const binary = format.format === "binary";
  if (source === undefined) {
    const columns = await tableColumns(question, binary);
    if (typeof columns === "string") return refused(columns);
    return planned(await edge.maskFor(session, { ...shape, columns }), format);
  }
  if (!verdict.facts.lineage.some(({ statement, unknown }) => statement === 0 && unknown === "")) {
    return refused("COPY of a query that touches hidden data is not possible when the query cannot be followed.");
  }
  const fields = await question.describe(source.query);
  if (fields === undefined) return refused("The target does not say what the query of this COPY returns.");
  const columns = fields.map((field) => ({ ...field, binary }));
  return planned(await edge.maskFor(session, { ...shape, columns, statement: 0 }), format);
}

function planned(mask: ResultMask, format: CopyFormat): CopyPlan {
  if (mask.disagreement !== "") return refused(mask.disagreement);
  if (mask.passesAll) return { kind: "pass" };
  return { kind: "mask", mask: format.format === "binary" ? new BinaryMask(mask) : new LinesMask(mask, format) };
}

const refused = (message: string): CopyPlan => ({ kind: "refused", message: `${message} ${WAY_OUT}` });

/** Of a table, in the order in which they are copied; or why that is not known. */
async function tableColumns(question: CopyQuestion, binary: boolean): Promise<Columns | string> {
  const { facts } = question.verdict;
  if (facts.transferColumns.length === 0) return "COPY of what the gateway does not know is not possible.";
  const oids = new Set(facts.relations.map((relation) => relation.oid));
  const [oid] = oids;
  if (oids.size !== 1 || oid === undefined || oid === 0) {
    return "COPY of hidden data needs a table that the gateway knows. Name it with its schema.";
  }
  const numbers = await columnNumbers(question, oid);
  return facts.transferColumns.map((name) => {
    const found = numbers.get(name);
    if (found === undefined) return { ...anything, binary };
    return { name, tableOid: oid, columnNumber: found.number, typeOid: found.typeOid, binary };
  });
}

async function columnNumbers(
  question: CopyQuestion,
  oid: number,
): Promise<ReadonlyMap<string, { number: number; typeOid: number }>> {
  const rows = await question.query(
    "SELECT attname, attnum, atttypid FROM pg_catalog.pg_attribute " +
      `WHERE attrelid OPERATOR(pg_catalog.=) ${oid}::pg_catalog.oid AND attnum OPERATOR(pg_catalog.>) 0 AND NOT attisdropped`,
  );
  return new Map(
    (rows ?? []).map(([name, number, typeOid]) => [name ?? "", { number: Number(number), typeOid: Number(typeOid) }]),
  );
}
