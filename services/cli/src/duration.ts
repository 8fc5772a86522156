import { AppError } from "@sallyport/runtime";

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** 5400 → `90m`: as it is written on the command line. */
export function durationOf(seconds: number): string {
  const [unit, length] =
    Object.entries(UNITS).findLast(([, one]) => seconds > 0 && seconds % one === 0) ?? (["s", 1] as const);
  return `${seconds / length}${unit}`;
}

/** `90d`, `8h`, `30m` or `45s`. A number alone is refused: who writes 5 may mean days. Returns seconds. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,9})([smhd])$/.exec(text.trim());
  const seconds = match === null ? 0 : Number(match[1]) * (UNITS[match[2]!] ?? 0);
  if (seconds <= 0 || seconds > 0xffff_ffff) {
    throw new AppError(
      "invalid-input",
      "cli.duration",
      `"${text}" is not a duration: write a number and its unit, as in 45s, 30m, 8h or 90d.`,
    );
  }
  return seconds;
}
