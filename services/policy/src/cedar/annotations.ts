/** What annotations say of a policy, and what is wrong with them. */

export type Effect = "permit" | "forbid";

export interface HoldTerms {
  group: string;
  quorum: number;
  withinSeconds: number;
  /** of `connect`: lifted for a time, at most so long; undefined: for one command */
  windowSeconds: number | undefined;
  /** whoever may break glass lifts it alone, at most so long; undefined: nobody does */
  breakGlassSeconds: number | undefined;
}

/** What is counted together for a limit of rows. */
export type Per = "result" | "session" | "hour";

export interface LimitTerms {
  rows: number;
  per: Per;
}

export interface PolicyTerms {
  id: string;
  message: string;
  shadow: boolean;
  hold: HoldTerms | undefined;
  /** it forbids nothing but rows beyond some number; with a hold: what is used up is held */
  limit: LimitTerms | undefined;
}

export interface AnnotationProblem {
  /** undefined: of the policy as a whole */
  annotation: string | undefined;
  message: string;
}

const KNOWN = new Set([
  "id",
  "approval",
  "quorum",
  "within",
  "window",
  "break_glass",
  "message",
  "mode",
  "rows",
  "per",
]);
const ONLY_ON_FORBIDS = ["approval", "quorum", "within", "window", "break_glass", "message", "mode", "rows", "per"];
const MAX_ID = 128;
const MAX_MESSAGE = 500;
const MAX_QUORUM = 20;
const MAX_ROWS = 1_000_000_000_000;
const MAX_WITHIN = 7 * 24 * 3_600;
const MAX_WINDOW = 7 * 24 * 3_600;
/** Nobody else has agreed: it is for an emergency, not for a working week. */
const MAX_BREAK_GLASS = 24 * 3_600;
const DEFAULT_WITHIN = 15 * 60;
const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** `15m` → 900; undefined: not a duration. */
export function seconds(text: string): number | undefined {
  const unit = UNITS[text.slice(-1)];
  const digits = text.slice(0, -1);
  if (unit === undefined || digits.length === 0 || digits.length > 6) return undefined;
  if ([...digits].some((c) => c < "0" || c > "9")) return undefined;
  return Number(digits) * unit;
}

const isPlain = (text: string): boolean =>
  [...text].every((c) => c >= " " && c !== "\u007f" && !(c >= "\u0080" && c < "\u00a0"));

/** It stands in logs, commands and URLs. */
const isIdentifier = (text: string): boolean => {
  const letters = [...text].every(
    (c) => (c >= "a" && c <= "z") || (c >= "A" && c <= "Z") || (c >= "0" && c <= "9") || "-_./".includes(c),
  );
  return letters && text !== "" && !"-_./".includes(text.charAt(0));
};

export function readAnnotations(
  effect: Effect,
  given: Readonly<Record<string, string | null>>,
): { terms: PolicyTerms; problems: AnnotationProblem[] } {
  const problems: AnnotationProblem[] = [];
  const problem = (annotation: string | undefined, message: string): void =>
    void problems.push({ annotation, message });
  const value = (name: string): string | undefined => (Object.hasOwn(given, name) ? (given[name] ?? "") : undefined);

  for (const name of Object.keys(given)) {
    if (!KNOWN.has(name)) problem(name, `unknown annotation @${name}: known are @${[...KNOWN].join(", @")}`);
    else if (effect === "permit" && ONLY_ON_FORBIDS.includes(name))
      problem(name, `@${name} means nothing on a permit: it belongs on a forbid`);
  }
  const id = value("id");
  if (id === undefined) problem(undefined, 'the policy has no @id("…"): verdicts name policies by it');
  else if (id.length > MAX_ID || !isIdentifier(id))
    problem(
      "id",
      `@id must have 1 to ${MAX_ID} letters, digits, "-", "_", "." or "/", and begin with a letter or digit`,
    );

  const message = value("message") ?? "";
  if (message.length > MAX_MESSAGE || !isPlain(message))
    problem("message", `@message must be one line of at most ${MAX_MESSAGE} characters`);
  const mode = value("mode");
  if (mode !== undefined && mode !== "shadow") problem("mode", '@mode can only be "shadow"');
  const hold = readHold(value, problem);
  const limit = readLimit(value, problem);
  return { terms: { id: id ?? "", message, shadow: mode === "shadow", hold, limit }, problems };
}

function readLimit(
  value: (name: string) => string | undefined,
  problem: (annotation: string, message: string) => void,
): LimitTerms | undefined {
  const rows = value("rows");
  const per = value("per") ?? "result";
  if (rows === undefined) {
    if (value("per") !== undefined) problem("per", '@per needs a @rows("…") beside it');
    return undefined;
  }
  const count = Number(rows);
  if (rows.trim() === "" || !Number.isInteger(count) || count < 0 || count > MAX_ROWS) {
    problem("rows", `@rows must be a whole number from 0 to ${MAX_ROWS}`);
  }
  if (per !== "result" && per !== "session" && per !== "hour") {
    problem("per", '@per can only be "result", "session" or "hour"');
    return undefined;
  }
  if (value("mode") !== undefined)
    problem("mode", "@mode cannot stand beside @rows: it is not known what would be cut");
  if (per === "result" && value("approval") !== undefined) {
    const why = "how many rows a result has is not known before it runs";
    problem("approval", `@approval needs @per("session") or @per("hour") beside @rows: ${why}`);
  }
  return { rows: count, per };
}

function readHold(
  value: (name: string) => string | undefined,
  problem: (annotation: string, message: string) => void,
): HoldTerms | undefined {
  const group = value("approval");
  const quorum = value("quorum");
  const within = value("within");
  if (group === undefined) {
    for (const name of ["quorum", "within", "window", "break_glass"]) {
      if (value(name) !== undefined) problem(name, `@${name} needs an @approval("group") beside it`);
    }
    return undefined;
  }
  if (group === "" || !isPlain(group)) problem("approval", "@approval must name a group");
  const count = quorum === undefined ? 1 : Number(quorum);
  if (!Number.isInteger(count) || count < 1 || count > MAX_QUORUM || quorum === "") {
    problem("quorum", `@quorum must be a whole number from 1 to ${MAX_QUORUM}`);
  }
  const withinSeconds = within === undefined ? DEFAULT_WITHIN : seconds(within);
  if (withinSeconds === undefined || withinSeconds < 1 || withinSeconds > MAX_WITHIN) {
    problem("within", '@within must be a duration from "1s" to "7d": a number and s, m, h or d');
  }
  const limit = (name: string, most: number, called: string): number | undefined => {
    const text = value(name);
    const length = text === undefined ? undefined : seconds(text);
    if (text !== undefined && (length === undefined || length < 1 || length > most)) {
      problem(name, `@${name} must be a duration from "1s" to "${called}": a number and s, m, h or d`);
    }
    return text === undefined ? undefined : (length ?? 1);
  };
  return {
    group,
    quorum: count,
    withinSeconds: withinSeconds ?? DEFAULT_WITHIN,
    windowSeconds: limit("window", MAX_WINDOW, "7d"),
    breakGlassSeconds: limit("break_glass", MAX_BREAK_GLASS, "1d"),
  };
}
