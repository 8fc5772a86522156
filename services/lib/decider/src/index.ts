/** The package's one entrance. */
export { type Decider, type Decision, events, type Fact, refuse, type Refusal } from "./decider.ts";
export type { SnapshotFormat } from "./snapshots.ts";
export { aggregateId, StateCache, type Versioned } from "./state-cache.ts";
export { type Handled, type HandleContext, openStore, type Store, type StoreOptions } from "./store.ts";
