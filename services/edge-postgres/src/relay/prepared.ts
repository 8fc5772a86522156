import { type NamedStatement, NamedStatement_Kind } from "@sallyport/proto/verdict";
import type { Command } from "./command.ts";

/**
 * The protocol's prepared statements and portals, as far as the gateway is sure of them. Pure.
 *
 * The one thing that must never happen: a name that means one text here and another at the target. So a Parse that fails
 * or is skipped leaves nothing under its name, whatever the target may still have there, and a statement counts as sure
 * only once the target has answered its Parse.
 */
export interface Statement {
  readonly name: string;
  /** UTF-8 */
  readonly text: Buffer;
  readonly parameterTypes: readonly number[];
  /** FrontendState.cycle of its Parse */
  readonly cycle: number;
  /** ParseComplete has come */
  answered: boolean;
  /** false: code that nobody looked into has run since, the target may have another statement under this name */
  certain: boolean;
}

export interface Portal {
  readonly name: string;
  /** UTF-8 */
  readonly text: Buffer;
  readonly command: Command;
  /** FrontendState.cycle of its Bind */
  readonly cycle: number;
  /** SessionState.changes when its Bind was sent */
  changes: number;
  /** as Statement.certain */
  certain: boolean;
}

const MAX_NAMES = 10_000;
const MAX_BYTES = 32 * 1024 * 1024;

export class Prepared {
  readonly #statements = new Map<string, Statement>();
  readonly #portals = new Map<string, Portal>();
  /** By name: what stood there when another was parsed under it, which the target refuses. */
  readonly #replaced = new Map<string, Statement>();
  #bytes = 0;

  /** One session may not fill the gateway's memory with names. */
  get full(): boolean {
    return this.#statements.size >= MAX_NAMES || this.#portals.size >= MAX_NAMES || this.#bytes >= MAX_BYTES;
  }

  /** There is a statement with a name. */
  get hasNamed(): boolean {
    return this.#statements.size > (this.#statements.has("") ? 1 : 0);
  }

  statement(name: string): Statement | undefined {
    return this.#statements.get(name);
  }

  portal(name: string): Portal | undefined {
    return this.#portals.get(name);
  }

  addStatement(statement: Statement): void {
    const { name } = statement;
    const replaced = this.#statements.get(name);
    this.#removeStatement(name);
    // Of several that are not answered the first may be the one that stands: whichever it is, the target is asked.
    if (name !== "" && (replaced?.answered !== false || !this.#replaced.has(name))) this.#keepReplaced(name, replaced);
    this.#statements.set(name, statement);
    this.#bytes += statement.text.length;
  }

  /** The portal that it takes the name of. */
  addPortal(portal: Portal): Portal | undefined {
    const replaced = this.#portals.get(portal.name);
    this.#removePortal(portal.name);
    this.#portals.set(portal.name, portal);
    this.#bytes += parameterBytes(portal);
    return replaced;
  }

  /** The target refused it, or never looked at it: what had its name before has it still, if the target says so. */
  statementFailed(statement: Statement): void {
    const { name } = statement;
    if (this.#statements.get(name) !== statement) return;
    this.#removeStatement(name);
    const before = statement.answered ? undefined : this.#replaced.get(name);
    this.#keepReplaced(name, undefined);
    if (before?.answered !== true) return;
    this.#statements.set(name, { ...before, certain: false });
    this.#bytes += before.text.length;
  }

  portalFailed(portal: Portal): void {
    if (this.#portals.get(portal.name) === portal) this.#removePortal(portal.name);
  }

  /** CloseComplete, for what had the name when the Close was sent: another may have it by now. */
  closed(what: Statement | Portal): void {
    if ("command" in what) return this.portalFailed(what);
    if (this.#statements.get(what.name) === what) this.#removeStatement(what.name);
    this.#keepReplaced(what.name, undefined);
  }

  /** A transaction has ended with the Sync of `cycle`: its portals are gone. */
  transactionEnded(cycle: number, gone: (portal: Portal) => void): void {
    if (this.#portals.size === 0) return;
    for (const [name, portal] of this.#portals) {
      if (portal.cycle > cycle) continue;
      this.#removePortal(name);
      gone(portal);
    }
  }

  /**
   * Statements that a text may EXECUTE by their names: the server keeps them in one namespace with SQL's own. One that is not
   * sure, or whose name the text spells in another way, is left out: then `policy` knows no such name, and refuses.
   */
  executableIn(text: string): NamedStatement[] {
    const lower = text.toLowerCase();
    const named: NamedStatement[] = [];
    for (const { name, text: inner, certain, answered } of this.#statements.values()) {
      if (name === "" || !certain || !answered || !lower.includes(name.toLowerCase())) continue;
      named.push({ kind: NamedStatement_Kind.KIND_PREPARED, name, text: inner.toString("utf8") });
    }
    return named;
  }

  /** Whatever is named may stand for something else now. The unnamed ones cannot be reached from SQL. */
  nothingCertain(): void {
    for (const statement of this.#statements.values()) if (statement.name !== "") statement.certain = false;
    for (const portal of this.#portals.values()) if (portal.name !== "") portal.certain = false;
  }

  /** The target's own account, as JSON objects of texts by name; a name with another text, or none, is given up. */
  verified(statements: string | null | undefined, portals: string | null | undefined): void {
    const texts = textsIn(statements);
    for (const statement of this.#statements.values()) {
      if (statement.certain) continue;
      if (texts.get(statement.name) === statement.text.toString("utf8")) statement.certain = true;
      else this.#removeStatement(statement.name);
    }
    const queries = textsIn(portals);
    for (const portal of this.#portals.values()) {
      if (portal.certain) continue;
      if (queries.get(portal.name) === portal.text.toString("utf8")) portal.certain = true;
      else this.#removePortal(portal.name);
    }
  }

  #keepReplaced(name: string, statement: Statement | undefined): void {
    const before = this.#replaced.get(name);
    if (before !== undefined) this.#bytes -= before.text.length;
    this.#replaced.delete(name);
    if (statement === undefined) return;
    this.#replaced.set(name, statement);
    this.#bytes += statement.text.length;
  }

  #removePortal(name: string): void {
    const portal = this.#portals.get(name);
    if (portal === undefined) return;
    this.#portals.delete(name);
    this.#bytes -= parameterBytes(portal);
  }

  #removeStatement(name: string): void {
    const statement = this.#statements.get(name);
    if (statement === undefined) return;
    this.#statements.delete(name);
    this.#bytes -= statement.text.length;
  }
}

/** A portal keeps its parameters: it may have to be decided again. */
function parameterBytes({ command }: Portal): number {
  let bytes = 0;
  for (const { value } of command.decision.unit.parameters ?? []) bytes += value?.length ?? 0;
  return bytes;
}

function textsIn(json: string | null | undefined): ReadonlyMap<string, unknown> {
  try {
    const value: unknown = JSON.parse(json ?? "null");
    return new Map(typeof value === "object" && value !== null ? Object.entries(value) : []);
  } catch {
    return new Map();
  }
}
