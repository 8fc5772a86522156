/** What annotations say of a policy, and what is wrong with them. */

export type Effect = "permit" | "forbid";

export interface HoldTerms {
  group: string;
  quorum: number;
  withinSeconds: number;
}

export interface PolicyTerms {
  id: string;
  message: string;
  shadow: boolean;
  hold: HoldTerms | undefined;
}

export interface AnnotationProblem {
  /** undefined: of the policy as a whole */
  annotation: string | undefined;
  message: string;
}

const KNOWN = new Set(["id", "approval", "quorum", "within", "message", "mode"]);
const ONLY_ON_FORBIDS = ["approval", "quorum", "within", "message", "mode"];
const MAX_ID = 128;
const MAX_MESSAGE = 500;
const MAX_QUORUM = 20;
const MAX_WITHIN = 7 * 24 * 3_600;
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
  return { terms: { id: id ?? "", message, shadow: mode === "shadow", hold }, problems };
}

function readHold(
  value: (name: string) => string | undefined,
  problem: (annotation: string, message: string) => void,
): HoldTerms | undefined {
  const group = value("approval");
  const quorum = value("quorum");
  const within = value("within");
  if (group === undefined) {
    for (const name of ["quorum", "within"]) {
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
  return { group, quorum: count, withinSeconds: withinSeconds ?? DEFAULT_WITHIN };
}
