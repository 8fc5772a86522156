import type { ColumnCopy } from "@sallyport/proto/catalog_model";
import { type Decider, events, refuse } from "@sallyport/decider";

export interface CopiesState {
  /** what is on record, by `copyKey` */
  known: ReadonlySet<string>;
}

export interface RecordCopies {
  connection: string;
  database: string;
  copies: readonly ColumnCopy[];
  edge: string;
}

/** Everyone who decides about the database keeps them in memory. */
const MOST_COPIES = 10_000;

/** The aggregate `copies/<connection>/<database>`: which columns hold what was in others. Nothing is said twice. */
export const copiesDecider: Decider<CopiesState, RecordCopies> = {
  initial: () => ({ known: new Set() }),
  decide: ({ connection, database, copies, edge }, { known }) => {
    const fresh = new Map<string, ColumnCopy>();
    for (const copy of copies) {
      const key = copyKey(copy);
      if (!known.has(key)) fresh.set(key, copy);
    }
    if (fresh.size === 0) return events();
    if (known.size + fresh.size > MOST_COPIES) {
      return refuse(
        "exhausted",
        `${connection}/${database} has ${known.size} copies of classified columns on record, and at most ${MOST_COPIES} are ` +
          "kept: classify the tables that are copied to, or copy into fewer",
      );
    }
    return events({ $case: "columnsCopied", value: { connection, database, copies: [...fresh.values()], edge } });
  },
  evolve: (state, event) => {
    if (event.fact?.$case !== "columnsCopied") return state;
    return { known: new Set([...state.known, ...event.fact.value.copies.map(copyKey)]) };
  },
};

function copyKey(copy: ColumnCopy): string {
  const { schema, relation, relationOid, column, sourceOid, sourceNumber, exact, class: name } = copy;
  return JSON.stringify([schema, relation, relationOid, column, sourceOid, sourceNumber, exact, name]);
}
