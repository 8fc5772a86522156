import type { DataClass, Transform } from "@sallyport/proto/catalog_model";
import { ColumnPlan_Action, type ColumnPlan } from "@sallyport/proto/masking";
import { DETECTORS, type DetectorName } from "../detect/find.ts";
import { REDACTED } from "../transform/partial.ts";
import type { CellTransform } from "./executable-plan.ts";
import { strictness } from "./strictness.ts";
import { asValueOf, type ValueKind } from "./value-type.ts";

/** A column's plan, and what `MaskCells` does for it. */
export interface PlannedColumn {
  plan: ColumnPlan;
  cells: CellTransform | undefined;
}

/** What is said of a column besides its action. */
export interface ColumnLabel {
  /** every class of the column, joined by `+`: who reads the log later needs them all */
  class: string;
  /** `schema.name`, as observed */
  relation: string;
  reason: string;
}

export type ClassOf = (name: string) => DataClass | undefined;

export const pass = (label: ColumnLabel): PlannedColumn => planned(ColumnPlan_Action.ACTION_PASS, label);

/** Nothing of the value remains, but that there is one. */
export function maskWhole(kind: ValueKind, label: ColumnLabel, replacement = REDACTED): PlannedColumn {
  if (kind === "other") return planned(ColumnPlan_Action.ACTION_NULL, label);
  const redact = { replacement: asValueOf(kind, replacement) };
  return planned(ColumnPlan_Action.ACTION_REDACT, label, { redact });
}

/** The strictest transform of the hidden classes, as far as the column's type can hold its result. */
export function maskByClass(
  kind: ValueKind,
  typeOid: number,
  hidden: ReadonlySet<string>,
  held: ReadonlySet<string>,
  classOf: ClassOf,
  label: ColumnLabel,
): PlannedColumn {
  const transforms = [...held].map((name) => classOf(name)?.transform);
  const transform = transforms.toSorted((a, b) => strictness(b) - strictness(a))[0]?.kind;
  switch (transform?.$case) {
    case "redact":
      return maskWhole(kind, label, transform.value.replacement === "" ? REDACTED : transform.value.replacement);
    case "partial":
      // half of a JSON or XML document is none
      if (kind !== "text") return maskWhole(kind, label);
      return planned(ColumnPlan_Action.ACTION_PARTIAL, label, { partial: transform.value });
    case "hash":
      if (kind === "other") return maskWhole(kind, label);
      return planned(
        ColumnPlan_Action.ACTION_HASH,
        label,
        {},
        { kind: "hash", value: kind, prefix: transform.value.prefix },
      );
    case "scan":
      if (kind === "other") return HOLDS_NO_TEXT.has(typeOid) ? pass(label) : maskWhole(kind, label);
      return planned(ColumnPlan_Action.ACTION_SCAN, label, {}, scanOf(kind, transforms, hidden, classOf));
    case "nullify":
      return planned(ColumnPlan_Action.ACTION_NULL, label);
    case undefined:
      return maskWhole(kind, label);
  }
}

/**
 * Built-in types in which no detector could find anything, so that a rule for free text in every column leaves them alone:
 * bool, int2, int4, float4, date, time, timestamp, timestamptz, timetz, interval, uuid, oid.
 */
const HOLDS_NO_TEXT = new Set([16, 21, 23, 700, 1082, 1083, 1114, 1184, 1266, 1186, 2950, 26]);

function scanOf(
  value: Exclude<ValueKind, "other">,
  transforms: readonly (Transform | undefined)[],
  hidden: ReadonlySet<string>,
  classOf: ClassOf,
): CellTransform {
  // several classes of free text in one column: what any of them looks for
  const asked = transforms.flatMap((transform) =>
    transform?.kind?.$case === "scan" ? [transform.kind.value.detectors] : [],
  );
  const wanted = DETECTORS.filter((name) => asked.some((list) => list.length === 0 || list.includes(name)));
  const configured = wanted.flatMap((name): [DetectorName, DataClass][] => {
    const dataClass = classOf(name);
    return dataClass ? [[name, dataClass]] : [];
  });
  return {
    kind: "scan",
    value,
    wanted,
    revealed: configured.filter(([name]) => !hidden.has(name)).map(([name]) => name),
    transforms: Object.fromEntries(
      configured.flatMap(([name, { transform }]) => (transform ? [[name, transform]] : [])),
    ),
  };
}

function planned(
  action: ColumnPlan_Action,
  label: ColumnLabel,
  parameters: Pick<Partial<ColumnPlan>, "redact" | "partial"> = {},
  cells?: CellTransform,
): PlannedColumn {
  return { plan: { action, redact: undefined, partial: undefined, ...parameters, ...label }, cells };
}
