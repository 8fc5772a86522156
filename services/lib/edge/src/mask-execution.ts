/**
 * Executes a MaskPlan on cells. Knows nothing of rows or frames: the protocol finds the cells and writes them back.
 */
import type { ColumnClass } from "@sallyport/proto/record";
import type { MaskPlan, PlanResult, ResultColumn } from "@sallyport/proto/masking";

/** Where masked bytes are written: grow with `reserve`, then write at `at`. */
export interface CellOutput {
  bytes: Buffer;
  at: number;
  /** makes room for `length` more bytes at `at`; may replace `bytes` */
  reserve(length: number): void;
}

/** Appends the masked cell to `out`; returns its length in bytes, or -1 for NULL. Never keeps a reference to `source`. */
export type CellTransform = (source: Buffer, start: number, end: number, out: CellOutput) => number;

export type ColumnExecution =
  | { readonly kind: "pass" }
  /** in place, synchronously; a NULL cell stays NULL and is not passed in */
  | { readonly kind: "local"; readonly transform: CellTransform }
  /** hash and scan: collect the column's cells that are not NULL and ask `remote` */
  | { readonly kind: "remote" };

export interface ResultMask {
  readonly planId: string;
  /** every column passes: frames may be forwarded as they are */
  readonly passesAll: boolean;
  readonly hasRemote: boolean;
  readonly columns: readonly ColumnExecution[];
  /** for the first `release` of the result and for `masked` */
  readonly classes: readonly ColumnClass[];
  /** errors and notices keep only SQLSTATE and class */
  readonly scrubText: boolean;
  /** an origin is not in the observed schema: observe again */
  readonly staleSchema: boolean;
  /** Masked cells in the same order (never NULL); throws AppError when masking cannot be reached: end the result. */
  remote(column: number, cells: readonly Buffer[]): Promise<readonly Buffer[]>;
}

export type { MaskPlan, PlanResult, ResultColumn };
