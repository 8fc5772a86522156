import type { Relation } from "@sallyport/proto/catalog_model";

/** A column of a relation, by what does not change when it is renamed. */
export interface ColumnAddress {
  oid: number;
  column: number;
}

/** Where the values of one column of a view come from. */
export type ColumnOrigin =
  /** `exact`: every value is a value of one of `sources`. Otherwise it is computed from them and from nothing else. */
  { kind: "columns"; exact: boolean; sources: readonly ColumnAddress[] } | { kind: "unknown" };

export interface ViewLineage {
  /** in the order of the view's columns; the sources may be columns of other views */
  columns: readonly ColumnOrigin[];
  /** relations that the definition names, wherever in it */
  reads: readonly number[];
  /** it may read more than it names: user code, unknown relations, definitions that cannot be followed */
  unbounded: boolean;
}

/**
 * Tells where a view's columns come from. Today's answer (`definition-lineage.ts`) follows plain columns and gives up on
 * expressions; full lineage over expressions takes its place behind this interface.
 */
export interface Lineage {
  origins(view: Relation): ViewLineage;
}

export const UNKNOWN: ColumnOrigin = { kind: "unknown" };
