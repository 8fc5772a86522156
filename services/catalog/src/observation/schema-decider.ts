import type { Schema } from "@sallyport/proto/catalog_model";
import { type Decider, events } from "@sallyport/decider";

export interface SchemaState {
  /** of the last observation; empty: none */
  digest: string;
}

export interface ObserveSchema {
  connection: string;
  database: string;
  schema: Schema;
  digest: string;
  edge: string;
}

/** The aggregate `schema/<connection>/<database>`: what an edge last saw there. */
export const schemaDecider: Decider<SchemaState, ObserveSchema> = {
  initial: () => ({ digest: "" }),
  decide: ({ connection, database, schema, digest, edge }, state) =>
    digest === state.digest
      ? events()
      : events({ $case: "schemaObserved", value: { connection, database, schema, digest, edge } }),
  evolve: (state, event) => (event.fact?.$case === "schemaObserved" ? { digest: event.fact.value.digest } : state),
};

/** Of everything that is about one database. */
export const databaseAggregate = (connection: string, database: string): string => `${connection}/${database}`;
