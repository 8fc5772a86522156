/** The figures that issue 2 asks for (section "Speed and memory"), and whether they were reached. */
export interface Target {
  /** as in the issue */
  readonly what: string;
  readonly wanted: string;
  readonly measured: string;
  readonly reached: boolean | "not measured";
}

export type Bound = { readonly atLeast: number } | { readonly atMost: number };

export interface Judgement {
  readonly what: string;
  readonly bound: Bound;
  /** behind the figures: `ms`, `MiB`, … */
  readonly unit: string;
  /** one for each case that must reach it, by name; NaN: could not be measured */
  readonly figures: Readonly<Record<string, number>>;
}

/** Reached only when every case reaches it. */
export function judge({ what, bound, unit, figures }: Judgement): Target {
  const suffix = unit === "" ? "" : ` ${unit}`;
  const wanted = "atLeast" in bound ? `≥ ${number(bound.atLeast)}${suffix}` : `≤ ${number(bound.atMost)}${suffix}`;
  const entries = Object.entries(figures);
  const known = entries.filter(([, value]) => !Number.isNaN(value));
  const measured = entries.map(([name, value]) => `${name === "" ? "" : `${name} `}${number(value)}`).join(", ");
  const reached = known.every(([, value]) => ("atLeast" in bound ? value >= bound.atLeast : value <= bound.atMost));
  if (known.length === 0) return { what, wanted, measured: "–", reached: "not measured" };
  return { what, wanted, measured, reached: reached && known.length === entries.length };
}

function number(value: number): string {
  if (Number.isNaN(value)) return "–";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}
