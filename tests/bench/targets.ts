/** The figures that issue 2 asks for (section "Speed and memory"), and whether they were reached. */
export interface Target {
  /** as in the issue */
  readonly what: string;
  readonly wanted: string;
  readonly measured: string;
  readonly reached: boolean | "not measured";
}

/** One of them, or both the same: exactly that. */
export interface Bound {
  readonly atLeast?: number;
  readonly atMost?: number;
}

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
  const { atLeast = -Infinity, atMost = Infinity } = bound;
  const sign = atLeast === atMost ? "=" : bound.atLeast === undefined ? "≤" : "≥";
  const wanted = `${sign} ${number(bound.atLeast ?? atMost)}${unit === "" ? "" : ` ${unit}`}`;
  const entries = Object.entries(figures);
  if (entries.every(([, value]) => Number.isNaN(value))) {
    return { what, wanted, measured: "–", reached: "not measured" };
  }
  const measured = entries.map(([name, value]) => `${name === "" ? "" : `${name} `}${number(value)}`).join(", ");
  return { what, wanted, measured, reached: entries.every(([, value]) => value >= atLeast && value <= atMost) };
}

function number(value: number): string {
  if (Number.isNaN(value)) return "–";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}
