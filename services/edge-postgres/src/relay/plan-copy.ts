import type { Edge, EdgeSession, KnownVerdict } from "@sallyport/edge";
import type { Rows } from "./own-queries.ts";
import { CopyMask } from "./copy-mask.ts";
import { copyFormatOf } from "./copy-options.ts";
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
}

const WAY_OUT = "Use a SELECT instead: its columns are masked one by one.";

/** Rejects with AppError when masking cannot be reached. */
export async function planCopy(question: CopyQuestion): Promise<CopyPlan> {
  const { edge, session, state, verdict, text } = question;
  const { facts } = verdict;
  const shape = { verdict, schemaTouched: state.schemaTouched };
  // As if it were one expression over everything that the command touches: nothing hidden in it, then nothing in the data.
  const anything = { name: "copy", tableOid: 0, columnNumber: 0, typeOid: 25, binary: false };
  const whole = await edge.maskFor(session, { ...shape, columns: [anything] });
  if (whole.passesAll) return { kind: "pass" };

  if (facts.transferColumns.length === 0) {
    return refused("COPY of a query that touches hidden data is not possible.");
  }
  const format = copyFormatOf(text);
  if (format === undefined) {
    return refused("COPY of hidden data is possible in the formats text and csv with plain options only.");
  }
  const oids = new Set(facts.relations.map((relation) => relation.oid));
  const [oid] = oids;
  if (oids.size !== 1 || oid === undefined || oid === 0) {
    return refused("COPY of hidden data needs a table that the gateway knows. Name it with its schema.");
  }
  const numbers = await columnNumbers(question, oid);
  const columns = facts.transferColumns.map((name) => {
    const found = numbers.get(name);
    return found === undefined
      ? anything
      : { name, tableOid: oid, columnNumber: found.number, typeOid: found.typeOid, binary: false };
  });
  const mask = await edge.maskFor(session, { ...shape, columns });
  return { kind: "mask", mask: new CopyMask(mask, format) };
}

const refused = (message: string): CopyPlan => ({ kind: "refused", message: `${message} ${WAY_OUT}` });

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
