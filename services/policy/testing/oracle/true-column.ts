/** What is true of one column of a result. */

export interface TrueColumn {
  /** `oid.number` of tables' columns */
  flows: Set<string>;
  /** `name.column` of temporary tables */
  temporary: Set<string>;
  /** why nobody can name all that flows: an analysis must say unknown */
  beyond: Set<string>;
  /** with what decides about the value, and with arguments of calls that tell nothing of them: it may be said to flow */
  mayFlow: Set<string>;
  /** the same: it may be said to be unknown */
  mayBeBeyond: boolean;
  /** every value stands in one of the columns as it is, or is a constant */
  plain: boolean;
}

export const leastColumn = (): TrueColumn => ({
  flows: new Set(),
  temporary: new Set(),
  beyond: new Set(),
  mayFlow: new Set(),
  mayBeBeyond: false,
  plain: true,
});

/** What decides about a value. */
export function setAside(into: TrueColumn, decides: TrueColumn): void {
  for (const flow of [...decides.flows, ...decides.mayFlow]) into.mayFlow.add(flow);
  into.mayBeBeyond ||= decides.mayBeBeyond || decides.beyond.size > 0 || decides.temporary.size > 0;
}

export function merge(into: TrueColumn, from: TrueColumn): void {
  for (const flow of from.flows) into.flows.add(flow);
  for (const name of from.temporary) into.temporary.add(name);
  for (const reason of from.beyond) into.beyond.add(reason);
  for (const flow of from.mayFlow) into.mayFlow.add(flow);
  into.mayBeBeyond ||= from.mayBeBeyond;
  into.plain &&= from.plain;
}

/** What is computed from something is not plain any more. */
export function mergeComputed(into: TrueColumn, from: TrueColumn): void {
  const carries = from.flows.size > 0 || from.temporary.size > 0 || from.beyond.size > 0;
  merge(into, carries ? { ...from, plain: false } : from);
}
