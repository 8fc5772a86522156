/**
 * A session's verdicts, under sound keys only (design, "Policy"): the exact text, or the text with those literals erased
 * that `policy` named as erasable. Everything else that a verdict depends on is the session's own (principal, connection,
 * context): when that changes, the owner clears the cache; when the epoch moves, `usable` says no.
 */
import {
  CacheScope_Kind,
  Outcome,
  Verdict,
  type Hold as HeldForbid,
  type SignedVerdict,
} from "@sallyport/proto/verdict";
import type { DenyReason } from "@sallyport/proto/verdict";
import { AppError } from "@sallyport/runtime";
import type { KnownVerdict } from "./outcome.ts";
import type { AdmissionUnit, LexedText, LiteralLexer } from "./unit.ts";

/** Longer texts are asked for each time. */
const KEY_BYTES = 16 * 1024;
const ENTRIES = 256;
/** Verdicts for texts that differ in literals that may not be erased. */
const TEMPLATES_PER_SKELETON = 8;

/** A verdict and what the gate must know of it. */
export class VerdictEntry implements KnownVerdict {
  readonly id: string;
  readonly asOf: number;
  readonly outcome: Outcome;
  readonly reason: DenyReason;
  readonly message: string;
  readonly facts: KnownVerdict["facts"];
  readonly hiddenClasses: readonly string[];
  readonly holds: readonly HeldForbid[];
  readonly mayWrite: boolean;
  /** the access that it was let through by; empty: none */
  readonly approvalId: string;
  readonly limits: KnownVerdict["limits"];
  /** worth nothing once there are more probes */
  readonly countsProbes: boolean;
  readonly idBytes: Uint8Array;
  /** ms since 1970; Infinity: with the epoch only */
  readonly expiresAtMs: number;
  readonly cacheKind: CacheScope_Kind;
  readonly erasable: readonly number[];
  /** as signed, until it is recorded in this session */
  signed: SignedVerdict | undefined;

  constructor(signed: SignedVerdict) {
    const verdict = Verdict.decode(signed.verdict);
    if (verdict.id === "" || verdict.facts === undefined) {
      throw new AppError("internal", "edge.verdict", "policy gave an incomplete verdict");
    }
    this.id = verdict.id;
    this.asOf = verdict.asOf;
    this.outcome = verdict.outcome;
    this.reason = verdict.reason;
    this.message = verdict.message;
    this.facts = verdict.facts;
    this.hiddenClasses = verdict.hiddenClasses;
    this.holds = verdict.holds;
    this.mayWrite = verdict.mayWrite;
    this.approvalId = verdict.approvalId;
    this.limits = verdict.limits;
    this.countsProbes = verdict.cache?.countsProbes === true;
    this.idBytes = Buffer.from(verdict.id, "utf8");
    this.cacheKind = verdict.cache?.kind ?? CacheScope_Kind.KIND_UNSPECIFIED;
    this.erasable = verdict.cache?.erasable ?? [];
    const expires = verdict.cache?.expiresAtMs ?? 0;
    this.expiresAtMs = expires === 0 ? Infinity : expires;
    this.signed = signed;
  }

  /** May it still be obeyed, when everything up to `newest` matters? */
  usable(newest: number): boolean {
    return this.asOf >= newest && (this.expiresAtMs === Infinity || Date.now() < this.expiresAtMs);
  }
}

interface Template {
  entry: VerdictEntry;
  /** by position among the literals: the literal itself where it may not be erased */
  fixed: readonly (string | undefined)[];
}

interface UnitCache {
  exact: Map<string, VerdictEntry>;
  templates: Map<string, Template[]>;
}

export class VerdictCache {
  private readonly units = new Map<string, UnitCache>();
  private readonly lexer: LiteralLexer | undefined;
  /** there is a verdict that depends on probes */
  private countsProbes = false;
  hits = 0;
  misses = 0;

  constructor(lexer: LiteralLexer | undefined) {
    this.lexer = lexer;
  }

  /** A verdict for this unit that has seen `newest`. */
  find(unit: AdmissionUnit, newest: number): VerdictEntry | undefined {
    const entry = this.look(unit, newest);
    if (entry === undefined) this.misses++;
    else this.hits++;
    return entry;
  }

  add(unit: AdmissionUnit, entry: VerdictEntry): void {
    if (entry.cacheKind === CacheScope_Kind.KIND_UNSPECIFIED || unit.text.length > KEY_BYTES) return;
    if (entry.countsProbes) this.countsProbes = true;
    let cache = this.units.get(unit.unit);
    if (cache === undefined) {
      cache = { exact: new Map(), templates: new Map() };
      this.units.set(unit.unit, cache);
    }
    const lexed = entry.cacheKind === CacheScope_Kind.KIND_LITERALS ? this.lexer?.(unit.text) : undefined;
    const fixed = lexed === undefined ? undefined : fixedLiterals(lexed, entry.erasable);
    if (lexed === undefined || fixed === undefined) {
      put(cache.exact, unit.text.toString("latin1"), entry);
      return;
    }
    const templates = cache.templates.get(lexed.skeleton) ?? [];
    const kept = templates.filter((template) => template.entry.asOf >= entry.asOf).slice(-TEMPLATES_PER_SKELETON + 1);
    kept.push({ entry, fixed });
    put(cache.templates, lexed.skeleton, kept);
  }

  /** There are more probes than before. */
  probed(): void {
    if (this.countsProbes) this.clear();
  }

  clear(): void {
    this.countsProbes = false;
    this.units.clear();
  }

  private look(unit: AdmissionUnit, newest: number): VerdictEntry | undefined {
    const cache = this.units.get(unit.unit);
    if (cache === undefined || unit.text.length > KEY_BYTES) return undefined;
    if (cache.exact.size > 0) {
      const entry = cache.exact.get(unit.text.toString("latin1"));
      if (entry?.usable(newest)) return entry;
    }
    if (cache.templates.size === 0) return undefined;
    const lexed = this.lexer?.(unit.text);
    if (lexed === undefined) return undefined;
    const templates = cache.templates.get(lexed.skeleton);
    if (templates === undefined) return undefined;
    for (const { entry, fixed } of templates) {
      if (matches(fixed, lexed.literals) && entry.usable(newest)) return entry;
    }
    return undefined;
  }
}

/** Undefined when policy and lexer disagree about where literals are: then the text is the only key. */
function fixedLiterals(lexed: LexedText, erasable: readonly number[]): (string | undefined)[] | undefined {
  const free = new Set(erasable);
  const fixed = lexed.literals.map((literal, i) => (free.delete(lexed.offsets[i] as number) ? undefined : literal));
  // an offset that is no literal to the lexer stays in the skeleton as it is: compared, so harmless, but a disagreement
  return free.size === 0 ? fixed : undefined;
}

function matches(fixed: readonly (string | undefined)[], literals: readonly string[]): boolean {
  if (fixed.length !== literals.length) return false;
  for (let i = 0; i < fixed.length; i++) {
    if (fixed[i] !== undefined && fixed[i] !== literals[i]) return false;
  }
  return true;
}

function put<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > ENTRIES) map.delete(map.keys().next().value as string);
}

/** What a verdict says to do. Anything that is not clearly `forward` or `hold` is a denial (I4). */
export function outcomeOf(entry: VerdictEntry): "forward" | "hold" | "deny" {
  if (entry.outcome === Outcome.OUTCOME_FORWARD) return "forward";
  if (entry.outcome === Outcome.OUTCOME_HOLD && entry.holds.length > 0) return "hold";
  return "deny";
}
