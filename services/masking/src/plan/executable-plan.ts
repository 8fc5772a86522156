import type { Transform } from "@sallyport/proto/catalog_model";
import type { DetectorName } from "../detect/find.ts";
import type { ValueKind } from "./value-type.ts";

/**
 * What `MaskCells` does to one column of a plan, complete in itself: a plan is carried out as it was made, whatever is
 * configured meanwhile. Plain data, because the plan's id is a hash of it.
 */
export type CellTransform =
  | { kind: "hash"; value: Exclude<ValueKind, "other">; prefix: string }
  | {
      kind: "scan";
      value: Exclude<ValueKind, "other">;
      wanted: readonly DetectorName[];
      /** detectors whose class the principal may see */
      revealed: readonly DetectorName[];
      /** by detector; absent: `[detector]` in its place */
      transforms: Readonly<Partial<Record<DetectorName, Transform>>>;
    };

export interface ExecutablePlan {
  connection: string;
  /** by column; undefined: nothing is done here (the edge does, or the column passes) */
  cells: readonly (CellTransform | undefined)[];
}
