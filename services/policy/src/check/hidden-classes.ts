/** Which classes of data a principal may not see in clear on a connection. */

import type { CedarValueJson, EntityJson } from "../cedar/engine.ts";
import type { Published } from "../state.ts";
import { buildContext } from "./context.ts";
import { ask, noFindings } from "./evaluate.ts";
import type { Findings } from "./evaluate.ts";

export interface Reveal {
  findings: Findings;
  allowed: boolean;
  expiresAtMs: number;
}

export interface RevealInput {
  principal: EntityJson;
  /** undefined: in the log, across connections */
  connection: EntityJson | undefined;
  nowMs: number;
  timeZone: string;
}

export function mayReveal(name: string, published: Published, input: RevealInput): Reveal {
  const findings = noFindings();
  const { set, configured } = published;
  if (set === undefined) return { findings, allowed: false, expiresAtMs: 0 };
  const built = buildContext(set.references("reveal").context, input);
  const context: Record<string, CedarValueJson> = { ...built.context };
  const { connection } = input;
  if (connection !== undefined) {
    const { type, id } = connection.uid as { type: string; id: string };
    context["connection"] = { __entity: { type, id } };
  }
  const question = { action: "reveal" as const, resource: configured.class(name), called: `class ${name}` };
  ask(question, { set, principal: input.principal, context, connection }, findings);
  const blocked = findings.forbids.size > 0 || findings.notPermitted.length > 0 || findings.errors.size > 0;
  return { findings, allowed: !blocked, expiresAtMs: built.expiresAtMs };
}

interface Kept {
  classes: readonly string[];
  expiresAtMs: number;
}

const MAX_KEPT = 10_000;

/** Kept by principal and connection until the configuration changes, or the clock moves what the policies look at. */
export class HiddenClasses {
  readonly #kept = new Map<string, Kept>();
  #generation = -1;

  of(published: Published, input: RevealInput): Kept {
    if (published.generation !== this.#generation) this.#kept.clear();
    this.#generation = published.generation;
    const { principal, connection, nowMs } = input;
    const key = JSON.stringify([principal, connection?.uid]);
    const kept = this.#kept.get(key);
    if (kept !== undefined && (kept.expiresAtMs === 0 || nowMs < kept.expiresAtMs)) return kept;
    const found = this.#find(published, input);
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    this.#kept.set(key, found);
    return found;
  }

  #find(published: Published, input: RevealInput): Kept {
    const classes: string[] = [];
    let expiresAtMs = 0;
    for (const name of published.configured.classes) {
      const reveal = mayReveal(name, published, input);
      if (!reveal.allowed) classes.push(name);
      if (reveal.expiresAtMs > 0) expiresAtMs = earlier(expiresAtMs, reveal.expiresAtMs);
    }
    return { classes, expiresAtMs };
  }
}

/** Of two moments, 0 meaning never. */
export const earlier = (a: number, b: number): number => (a === 0 ? b : b === 0 ? a : Math.min(a, b));
