import type { CommandContext } from "@sallyport/edge";
import { ColumnFlow, type CommandFacts, type NamedStatement, NamedStatement_Kind } from "@sallyport/proto/verdict";
import type { TransactionStatus } from "../wire/backend.ts";

/**
 * What of a session's state at the target decisions depend on, and how sure the gateway is of it. Pure.
 *
 * The state is asked for (`STATE_QUERY`) after whatever may have changed it; until the answer is there it counts as not
 * known, which `policy` takes as the strictest it could be.
 */
export const STATE_QUERY =
  "SELECT pg_catalog.array_to_json(pg_catalog.current_schemas(true)), current_user, " +
  "pg_catalog.current_setting('standard_conforming_strings'), pg_catalog.current_setting('client_encoding'), " +
  "pg_catalog.current_setting('statement_timeout')";

const MAX_NAMED = 256;
const MAX_NAMED_BYTES = 1024 * 1024;
const MAX_TEMPORARY = 1024;
const MAX_TEMPORARY_BYTES = 256 * 1024;
const OBSERVE_AGAIN_MS = 10_000;
const STALE_AGAIN_MS = 5_000;

/** May the command change search_path, role, settings, prepared statements or cursors? */
const touchesSession = (facts: CommandFacts): boolean =>
  facts.sessionEffect || facts.opaque || facts.userCode || facts.named.length > 0;

/** Verbs after which a name of ours may stand for something else at the target. */
const REBINDING = /^(prepare|deallocate|discard|declare|close|execute|do|call)/;

/** Verbs after which a name that was made in SQL stands for nothing. */
const UNNAMING = /^(deallocate|discard|close)/;

export class SessionState {
  /** of the last ReadyForQuery */
  status: TransactionStatus = "I";
  /** something is hidden from the principal, or was: what belongs to no command is scrubbed from then on */
  guarded = false;
  /** code that nobody looked into has run: a setting, or what else outlives a command, may hold what it has read */
  codeRan = false;
  /** the target must be asked before the next decision */
  stale = false;
  /** the target's schema must be observed before the next decision */
  unobserved = false;
  /** how long the session's statements may take; 0: as long as they do, or it is not known */
  statementTimeoutMs = 0;
  /** rises with everything that a decision depends on: one that was taken before may be out of date */
  changes = 0;

  #searchPath: readonly string[] = [];
  #role = "";
  #settings: Readonly<Record<string, string>> = {};
  #named: NamedStatement[] = [];
  #schemaTouched = false;
  /** the open transaction has changed session state: rolling back changes it again */
  #effectInTransaction = false;
  /** flows into temporary relations, by what they say */
  readonly #temporary = new Map<string, ColumnFlow>();
  #temporaryBytes = 0;
  /** there were more of them than are kept: a name may stand for one that nothing is known of */
  #temporaryLost = false;
  #context: CommandContext | undefined;
  #observeAfter = 0;
  #staleAfter = 0;

  /** The same object until something in it changes. */
  get context(): CommandContext {
    this.#context ??= {
      searchPath: this.#searchPath,
      role: this.#role,
      settings: this.#settings,
      named: this.#named,
      schemaTouched: this.schemaTouched,
      temporary: [...this.#temporary.values()],
    };
    return this.#context;
  }

  get schemaTouched(): boolean {
    return this.#schemaTouched || this.unobserved || this.#temporaryLost;
  }

  /** Must the next decision wait until this command is answered? */
  mustSettle(facts: CommandFacts): boolean {
    // Once the open transaction has changed them, any command may be the one that ends it and changes them back.
    return touchesSession(facts) || facts.defines || facts.verbs.includes("copy-from") || this.#effectInTransaction;
  }

  /** After this command a protocol statement or portal may be another than it was. */
  mayRebind(facts: CommandFacts): boolean {
    return facts.opaque || facts.userCode || facts.named.length > 0 || facts.verbs.some((verb) => REBINDING.test(verb));
  }

  /** The command was sent to the target. */
  sent(facts: CommandFacts): void {
    if (touchesSession(facts)) {
      this.changes += 1;
      this.stale = true;
      this.#effectInTransaction = true;
    }
    if (facts.opaque || facts.userCode) this.codeRan = true;
    if (facts.defines || facts.opaque) this.#touchSchema(true);
    for (const flow of facts.flows) if (flow.temporary) this.#keepTemporary(flow);
    // Code that nobody has looked into may have made any of them anew, and a name that was dropped may be taken by another.
    if (facts.opaque || facts.userCode || facts.verbs.some((verb) => UNNAMING.test(verb))) this.#forget();
    // Until it is known to have been made, a name stands for nothing that is known.
    else if (facts.named.length > 0) this.#forget(new Set(facts.named.map((n) => n.name)));
  }

  /** The command is answered. */
  answered(facts: CommandFacts, ok: boolean): void {
    // After an error it is not known which of its statements have run: PREPARE survives a rollback.
    if (ok && facts.named.length > 0) this.#keep(facts.named);
    if (!this.#effectInTransaction) return;
    this.stale = true;
    this.changes += 1;
  }

  /** The target's answer to STATE_QUERY; undefined: it could not be asked, so nothing is known. */
  learned(row: readonly (string | null)[] | undefined): void {
    this.stale = row === undefined;
    this.#changed();
    const schemas = row === undefined ? [] : schemasOf(row[0]);
    this.#searchPath = schemas;
    this.#role = row?.[1] ?? "";
    // In a failed transaction nothing can be asked; what the server has reported of these two still counts (section 54.2.7).
    if (row === undefined) return;
    this.statementTimeoutMs = millisecondsOf(row[4] ?? "0");
    this.#settings = {
      standard_conforming_strings: row[2] ?? "",
      client_encoding: row[3] ?? "",
    };
  }

  /** ParameterStatus of a setting that the analysis depends on. */
  reported(name: "client_encoding" | "standard_conforming_strings", value: string): void {
    this.#settings = { ...this.#settings, [name]: value };
    this.#changed();
    this.stale = true;
  }

  /** ReadyForQuery. */
  ready(status: TransactionStatus): void {
    this.status = status;
    if (status !== "I") return;
    if (this.#effectInTransaction) {
      this.changes += 1;
      this.stale = true;
      this.#effectInTransaction = false;
    }
    if (this.#schemaTouched) {
      this.unobserved = true;
      this.#touchSchema(false);
    }
  }

  observed(): void {
    this.#observeAfter = 0;
    this.unobserved = false;
    this.#changed();
  }

  /** A plan has said that the observed schema is too old. It may say so again and again (temporary tables). */
  mustObserve(now: number = performance.now()): void {
    if (now < this.#staleAfter) return;
    this.#staleAfter = now + STALE_AGAIN_MS;
    if (!this.unobserved) this.#changed();
    this.unobserved = true;
  }

  /** A failed observation is tried again, but not for every command. */
  mayObserve(now: number = performance.now()): boolean {
    if (now < this.#observeAfter) return false;
    this.#observeAfter = now + OBSERVE_AGAIN_MS;
    return true;
  }

  /** The inner statement of a PREPARE made in SQL. */
  preparedInSql(name: string): string | undefined {
    return this.#named.find((n) => n.kind === NamedStatement_Kind.KIND_PREPARED && n.name === name)?.text;
  }

  /** A protocol Parse or Close of this name was sent: a statement that SQL has made under it is what it was no longer. */
  renamed(name: string): void {
    if (this.preparedInSql(name) === undefined) return;
    this.#named = this.#named.filter((n) => n.kind !== NamedStatement_Kind.KIND_PREPARED || n.name !== name);
    this.#changed();
  }

  #changed(): void {
    this.#context = undefined;
    this.changes += 1;
  }

  #touchSchema(touched: boolean): void {
    if (this.#schemaTouched !== touched) this.#changed();
    this.#schemaTouched = touched;
  }

  #forget(names?: ReadonlySet<string>): void {
    if (this.#named.length === 0) return;
    this.#named = names === undefined ? [] : this.#named.filter((n) => !names.has(n.name));
    this.#changed();
  }

  /** Whether or not the command will succeed, and until the session ends: what is known only grows. */
  #keepTemporary(flow: ColumnFlow): void {
    if (this.#temporaryLost) return;
    const key = Buffer.from(ColumnFlow.encode(flow).finish()).toString("latin1");
    if (this.#temporary.has(key)) return;
    this.#temporaryBytes += key.length;
    if (this.#temporary.size >= MAX_TEMPORARY || this.#temporaryBytes > MAX_TEMPORARY_BYTES) {
      this.#temporaryLost = true;
      this.#temporary.clear();
    } else this.#temporary.set(key, flow);
    this.#changed();
  }

  #keep(made: readonly NamedStatement[]): void {
    const names = new Set(made.map((n) => n.name));
    const all = [...this.#named.filter((n) => !names.has(n.name)), ...made];
    // The oldest go first: a name that is not known is refused or taken as the strictest.
    let bytes = all.reduce((sum, n) => sum + n.text.length, 0);
    while (all.length > MAX_NAMED || bytes > MAX_NAMED_BYTES) bytes -= (all.shift() as NamedStatement).text.length;
    this.#named = all;
    this.#changed();
  }
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000, d: 86_400_000 };

/** A duration as the server shows it: `0`, `1500ms`, `90s`, `1min`. */
function millisecondsOf(text: string): number {
  const [, digits, unit] = /^(\d{1,10})(ms|s|min|h|d)?$/.exec(text) ?? [];
  return digits === undefined ? 0 : Number(digits) * (UNITS[unit ?? "ms"] ?? 1);
}

function schemasOf(json: string | null | undefined): string[] {
  try {
    const list: unknown = JSON.parse(json ?? "null");
    return Array.isArray(list) ? list.filter((s): s is string => typeof s === "string") : [];
  } catch {
    return [];
  }
}
