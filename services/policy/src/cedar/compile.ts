/**
 * From policy files to four sets: base (permits and plain forbids), holds (forbids with @approval), limits (forbids with
 * @rows) and shadow (forbids with @mode("shadow")). All problems of all files are found at once, each with its position.
 */

import { createHash } from "node:crypto";
import type { PolicyFile } from "@sallyport/proto/catalog_model";
import canonicalize from "canonicalize";
import { readAnnotations } from "./annotations.ts";
import type { AnnotationProblem, PolicyTerms } from "./annotations.ts";
import { checkTypes, evaluate, keepSet, parsePolicy } from "./engine.ts";
import type { CedarRequest, Evaluation, PolicyJson } from "./engine.ts";
import { Lens } from "./lens.ts";
import { Positions } from "./positions.ts";
import { actionsOf, referencesOf } from "./references.ts";
import type { EntityReference, References } from "./references.ts";
import { splitPolicies } from "./source.ts";
import type { SourcePolicy } from "./source.ts";

export const COMMAND_ACTIONS = ["read", "write", "define", "administer", "transfer", "opaque", "tunnel"] as const;
export const ACTIONS = [
  "connect",
  ...COMMAND_ACTIONS,
  "reveal",
  "approve",
  "break-glass",
  "audit",
  "configure",
  "revoke",
] as const;
export type PolicyAction = (typeof ACTIONS)[number];
export const SETS = ["base", "holds", "limits", "shadow"] as const;
export type SetKind = (typeof SETS)[number];

export interface Problem {
  path: string;
  /** from 1; 0: the whole file */
  line: number;
  column: number;
  message: string;
}

export interface CompiledPolicy {
  terms: PolicyTerms;
  effect: "permit" | "forbid";
  kind: SetKind;
  text: string;
  syntax: PolicyJson;
  path: string;
  /** undefined: every action */
  actions: string[] | undefined;
  references: References;
}

export interface CompiledSet {
  /** `sha256:…` over the files, in order of their paths */
  digest: string;
  policies: ReadonlyMap<string, CompiledPolicy>;
}

/** What policies may name, so that a misspelled name is found before it silently never matches. */
export interface Vocabulary {
  connections: ReadonlySet<string>;
  classes: ReadonlySet<string>;
}

export interface Compilation {
  set: CompiledSet;
  problems: Problem[];
}

/** The class that stands for statement texts in the log; it needs no configuration. */
export const STATEMENT_TEXT = "statement-text";
const MAX_FILES = 500;
const MAX_FILE_BYTES = 1_048_576;
const MAX_POLICIES = 5_000;
const MAX_ANSWERS = 20_000;
const MAX_ANSWER_KEY = 4_096;

export function policySetDigest(files: readonly PolicyFile[]): string {
  const sorted = byPath(files).map(({ path, text }) => ({ path, text }));
  return `sha256:${createHash("sha256")
    .update(canonicalize(sorted) ?? "")
    .digest("hex")}`;
}

const byPath = (files: readonly PolicyFile[]): PolicyFile[] =>
  files.toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));

/**
 * `types: false` leaves out the comparison with the schema, for a set that was validated before it was published: what it
 * would find fails to evaluate, and so refuses.
 */
export function compile(files: readonly PolicyFile[], vocabulary: Vocabulary, { types = true } = {}): Compilation {
  const compiling = new Compiling(vocabulary);
  if (files.length > MAX_FILES) compiling.problem("", undefined, 0, `there are more than ${MAX_FILES} policy files`);
  for (const file of byPath(files).slice(0, MAX_FILES)) compiling.file(file);
  if (types) compiling.types();
  const set = { digest: policySetDigest(files), policies: compiling.policies };
  return { set, problems: compiling.problems.toSorted(byPosition) };
}

const byPosition = (a: Problem, b: Problem): number =>
  a.path < b.path ? -1 : a.path > b.path ? 1 : a.line - b.line || a.column - b.column;

class Compiling {
  readonly problems: Problem[] = [];
  readonly policies = new Map<string, CompiledPolicy>();
  readonly #origin = new Map<string, { path: string; positions: Positions; source: SourcePolicy }>();
  readonly #vocabulary: Vocabulary;

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
  }

  problem(path: string, positions: Positions | undefined, at: number, message: string): void {
    const position = positions?.at(at) ?? { line: 0, column: 0 };
    this.problems.push({ path, ...position, message });
  }

  file({ path, text }: PolicyFile): void {
    if (Buffer.byteLength(text) > MAX_FILE_BYTES) {
      this.problem(path, undefined, 0, `the file is larger than ${MAX_FILE_BYTES} bytes`);
      return;
    }
    const positions = new Positions(text);
    for (const source of splitPolicies(text)) this.#policy(path, positions, source);
  }

  #policy(path: string, positions: Positions, source: SourcePolicy): void {
    const parsed = parsePolicy(source.text);
    if (parsed.kind === "failed") {
      for (const { message, at } of parsed.problems) this.problem(path, positions, source.at + at, message);
      return;
    }
    const { policy } = parsed;
    const { terms, problems } = readAnnotations(policy.effect, policy.annotations ?? {});
    for (const found of [...problems, ...holdScope(policy, terms)]) {
      const annotation = source.annotations.find(({ name }) => name === found.annotation);
      this.problem(path, positions, annotation?.at ?? source.at, found.message);
    }
    if (terms.id === "") return;
    const first = this.#origin.get(terms.id);
    if (first !== undefined) {
      const at = first.positions.at(first.source.at);
      const own = source.annotations.find(({ name }) => name === "id");
      const message = `@id("${terms.id}") is already used in ${first.path}, line ${at.line}`;
      this.problem(path, positions, own?.at ?? source.at, message);
      return;
    }
    if (this.policies.size >= MAX_POLICIES) {
      this.problem(path, positions, source.at, `there are more than ${MAX_POLICIES} policies`);
      return;
    }
    this.#origin.set(terms.id, { path, positions, source });
    const references = referencesOf(policy);
    const scoped = actionsOf(policy);
    this.policies.set(terms.id, {
      terms,
      effect: policy.effect,
      kind: kindOf(terms),
      text: source.text,
      syntax: policy,
      path,
      actions: scoped,
      references,
    });
    this.#names(path, positions, source, references.entities, scoped ?? []);
  }

  #names(
    path: string,
    positions: Positions,
    source: SourcePolicy,
    entities: EntityReference[],
    actions: string[],
  ): void {
    const told = new Set<string>();
    const tell = (message: string, name: string): void => {
      if (told.has(message)) return;
      told.add(message);
      this.problem(path, positions, source.at + Math.max(0, byteIndex(source.text, name)), message);
    };
    for (const { type, id } of entities) {
      if (type === "Connection" && !this.#vocabulary.connections.has(id))
        tell(`there is no connection "${id}"`, `"${id}"`);
      if (type === "Class" && id !== STATEMENT_TEXT && !this.#vocabulary.classes.has(id)) {
        tell(`there is no class of data "${id}"`, `"${id}"`);
      }
      if (type === "Gateway" && id !== "sallyport") tell('the gateway is Gateway::"sallyport"', `"${id}"`);
    }
    for (const action of actions) {
      if (!(ACTIONS as readonly string[]).includes(action)) tell(`there is no action "${action}"`, `"${action}"`);
    }
  }

  /** Against the schema, all that parsed together. */
  types(): void {
    const texts: Record<string, string> = Object.create(null) as Record<string, string>;
    for (const [id, policy] of this.policies) texts[id] = policy.text;
    if (this.policies.size === 0) return;
    for (const { id, problem } of checkTypes({ ...texts })) {
      const origin = this.#origin.get(id);
      if (origin === undefined) this.problem("", undefined, 0, problem.message);
      else {
        const message = problem.message.replace(`for policy \`${id}\`, `, "");
        this.problem(origin.path, origin.positions, origin.source.at + problem.at, message);
      }
    }
  }
}

const byteIndex = (text: string, part: string): number => {
  const index = text.indexOf(part);
  return index < 0 ? -1 : Buffer.byteLength(text.slice(0, index));
};

function kindOf({ shadow, hold, limit }: PolicyTerms): SetKind {
  if (shadow) return "shadow";
  if (limit !== undefined) return "limits";
  return hold === undefined ? "base" : "holds";
}

/** Only a command can wait for a second person, and has rows. */
function holdScope(policy: PolicyJson, terms: PolicyTerms): AnnotationProblem[] {
  const annotation = terms.hold !== undefined ? "approval" : terms.limit === undefined ? undefined : "rows";
  if (annotation === undefined) return [];
  const actions = actionsOf(policy);
  if (terms.hold?.windowSeconds !== undefined) return windowScope(actions);
  const held = actions?.every((action) => (COMMAND_ACTIONS as readonly string[]).includes(action)) ?? false;
  if (held) return [];
  const needs = annotation === "rows" ? "of commands" : "of actions that can wait";
  const message = `@${annotation} needs a scope ${needs}: action in [Action::"${COMMAND_ACTIONS.join('", Action::"')}"]`;
  return [{ annotation, message }];
}

/** Nobody waits at a login: what holds it is lifted for a time, before. */
function windowScope(actions: readonly string[] | undefined): AnnotationProblem[] {
  if (actions?.length === 1 && actions[0] === "connect") return [];
  return [{ annotation: "window", message: '@window needs the scope action == Action::"connect", and nothing else' }];
}

/**
 * A compiled set, kept by the engine under names of its own: one set a kind and action, so that each request looks at no
 * more policies than could apply.
 */
export class LoadedSet {
  readonly digest: string;
  readonly policies: ReadonlyMap<string, CompiledPolicy>;
  readonly #names = new Map<string, string>();
  readonly #references = new Map<string, References>();
  readonly #lenses = new Map<string, Lens>();
  /** answers of the engine, by everything that they depend on */
  readonly #answers = new Map<string, Evaluation>();
  readonly #prefix: string;

  constructor(set: CompiledSet, prefix: string) {
    this.digest = set.digest;
    this.policies = set.policies;
    this.#prefix = prefix;
    for (const action of ACTIONS) {
      const references = merged([...set.policies.values()].filter((policy) => appliesTo(policy, action)));
      this.#references.set(action, references);
      this.#lenses.set(action, new Lens(references));
      for (const kind of SETS) this.#keep(kind, action, set);
    }
  }

  /**
   * Asks one of the sets. undefined: no policy of that kind could apply to the action. `key` is all of the request but the
   * action, as text.
   */
  evaluate(kind: SetKind, action: PolicyAction, key: string, request: () => CedarRequest): Evaluation | undefined {
    const name = this.#names.get(`${kind} ${action}`);
    if (name === undefined) return undefined;
    const full = `${kind} ${action} ${key}`;
    const kept = this.#answers.get(full);
    if (kept !== undefined) return kept;
    const evaluation = evaluate(name, request());
    if (this.#answers.size >= MAX_ANSWERS) this.#answers.clear();
    if (full.length <= MAX_ANSWER_KEY) this.#answers.set(full, evaluation);
    return evaluation;
  }

  references(action: PolicyAction): References {
    return this.#references.get(action) ?? merged([]);
  }

  lens(action: PolicyAction): Lens {
    return this.#lenses.get(action) ?? new Lens(merged([]));
  }

  /** Gives the engine's memory back. */
  unload(): void {
    for (const name of this.#names.values()) keepSet(name, {});
    this.#names.clear();
    this.#answers.clear();
  }

  #keep(kind: SetKind, action: PolicyAction, set: CompiledSet): void {
    const policies: Record<string, string> = {};
    for (const [id, policy] of set.policies) {
      if (policy.kind === kind && appliesTo(policy, action)) policies[id] = policy.text;
    }
    if (Object.keys(policies).length === 0) return;
    const name = `${this.#prefix}/${kind}/${action}`;
    keepSet(name, policies);
    this.#names.set(`${kind} ${action}`, name);
  }
}

const appliesTo = (policy: CompiledPolicy, action: string): boolean => policy.actions?.includes(action) ?? true;

function merged(policies: readonly CompiledPolicy[]): References {
  const context = new Set<string>();
  const attributes = new Set<string>();
  const entities: EntityReference[] = [];
  for (const { references } of policies) {
    for (const path of references.context) context.add(path);
    for (const name of references.attributes) attributes.add(name);
    entities.push(...references.entities);
  }
  return { context, attributes, entities };
}
