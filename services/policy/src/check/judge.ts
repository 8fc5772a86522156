/** One check, from the request to the verdict. The order of the questions is here, and nowhere else. */

import { randomUUID } from "node:crypto";
import type { CheckRequest, CommandCheck, SessionContext } from "@sallyport/proto/policy";
import type { Principal } from "@sallyport/proto/principal";
import { CacheScope, CacheScope_Kind, CommandFacts, DenyReason, Outcome, Verdict } from "@sallyport/proto/verdict";
import canonicalize from "canonicalize";
import type { LoadedSet, PolicyAction } from "../cedar/compile.ts";
import { ENGINE } from "../cedar/engine.ts";
import type { CedarValueJson, EntityJson } from "../cedar/engine.ts";
import { principalEntity } from "../cedar/entities.ts";
import { mentions } from "../cedar/references.ts";
import type { Analyser } from "../sql/analyser.ts";
import { isRefused } from "../sql/outline.ts";
import type { Outline, Understanding } from "../sql/outline.ts";
import { PARSER } from "../sql/parser.ts";
import type { Published, State } from "../state.ts";
import { MAX_CONTEXT_TEXT, buildContext, connectExpiry } from "./context.ts";
import type { BuiltContext } from "./context.ts";
import { ask, noFindings, questionsFor } from "./evaluate.ts";
import type { Findings, Question } from "./evaluate.ts";
import { covers } from "./grants.ts";
import { limitsOf, withoutGranted } from "./limits.ts";
import { HiddenClasses, earlier } from "./hidden-classes.ts";
import { holdsOf } from "./hold-terms.ts";
import { Writers } from "./may-write.ts";
import { MAX_TARGETS, resolve } from "./resolve.ts";
import type { Resolved } from "./resolve.ts";
import { unsafeSetting } from "./session-settings.ts";
import { databaseTarget } from "./touched.ts";
import { accessAskedFor, evaluationFailed, forbidden, held, notPermitted, notUnderstood } from "./wording.ts";

export interface JudgeOptions {
  state: State;
  analyser: Analyser;
  /** sequence in EVENTS that the state has folded */
  asOf: () => number;
  now: () => number;
  timeZone: string;
  /** follow results of those, too, from whom nothing is hidden: for people to read */
  followAll?: boolean;
}

/** Somebody, somewhere, under a set that is loaded: what every decision needs. */
interface Ground {
  session: SessionContext;
  principal: EntityJson;
  principalId: string;
  connection: EntityJson;
  published: Published;
  set: LoadedSet;
  nowMs: number;
  asOf: number;
  hidden: { classes: readonly string[]; expiresAtMs: number };
  mayWrite: boolean;
  defaultDatabase: string;
}

type Refusal = Pick<Verdict, "reason" | "message"> & Partial<Verdict>;

/** Questions that are asked of Cedar before others get a turn (I9). */
const QUESTIONS_A_TURN = 16;
const MAX_ERASABLE = 1_000;
/** Requests that the inputs list one by one. */
const MAX_LISTED = 200;
/** A view's definition refers to views, whose definitions refer to views, … */
const MAX_ROUNDS = 64;
const MAX_NAMED = 1_000;

export class Judge {
  readonly #options: JudgeOptions;
  readonly #hidden = new HiddenClasses();
  readonly #writers = new Writers();

  constructor(options: JudgeOptions) {
    this.#options = options;
  }

  judge(request: CheckRequest): Verdict | Promise<Verdict> {
    const { session, subject } = request;
    const ground = this.#ground(session);
    if ("reason" in ground) return this.#refuse(ground);
    switch (subject?.$case) {
      case "connect":
        return this.#connect(ground);
      case "command":
        return this.#command(request, ground, subject.value);
      default:
        return this.#refuse({ ...unknownSubject("The check asks about nothing."), asOf: ground.asOf });
    }
  }

  #ground(session: SessionContext | undefined): Ground | Refusal {
    const { state, now, asOf } = this.#options;
    const { published } = state;
    if (published === undefined)
      return unknownSubject("No configuration has been published yet: nobody may do anything.");
    const { set } = published;
    if (set === undefined) {
      const message =
        "The published policies do not load, so everything is refused. Apply a configuration that validates.";
      return { reason: DenyReason.DENY_REASON_EVALUATION_ERROR, message };
    }
    const principal = principalEntity(session?.principal);
    if (session === undefined || principal === undefined) return unknownSubject("The principal is not known.");
    const connection = published.configured.connection(session.connection);
    const configured = published.connections.get(session.connection);
    const databases = [configured?.defaultDatabase, ...(configured?.databases ?? [])];
    if (connection === undefined || !databases.includes(session.database)) {
      return unknownSubject(`There is no connection ${session.connection}/${session.database}, or you may not use it.`);
    }
    const nowMs = now();
    if (isExpired(session.principal, nowMs)) return unknownSubject("The access token has expired.");
    const { timeZone } = this.#options;
    const hidden = this.#hidden.of(published, { principal, connection, nowMs, timeZone });
    const principalId = session.principal?.id ?? "";
    const place = { connection: session.connection, database: session.database };
    const mayWrite = this.#writers.may(published, { principal, connection, place });
    const defaultDatabase = configured?.defaultDatabase ?? "";
    return {
      session,
      principal,
      principalId,
      connection,
      published,
      set,
      nowMs,
      asOf: asOf(),
      hidden,
      mayWrite,
      defaultDatabase,
    };
  }

  #connect(ground: Ground): Verdict {
    const findings = noFindings();
    const built = this.#context(ground, ["connect"]);
    const question: Question = { action: "connect", resource: ground.connection, called: "it" };
    ask(question, { set: ground.set, principal: ground.principal, context: built.context }, findings);
    const facts = CommandFacts.fromPartial({ actions: ["connect"], hasWhere: true });
    return this.#decide(ground, findings, {
      kind: "connect",
      questions: [question],
      context: built.context,
      facts,
      cache: CacheScope.fromPartial({ expiresAtMs: this.#connectExpiry(ground) }),
    });
  }

  #connectExpiry({ set, nowMs }: Ground): number {
    return connectExpiry(pathsOf(set, ["connect"]), nowMs, this.#options.timeZone);
  }

  #command(request: CheckRequest, ground: Ground, command: CommandCheck): Verdict | Promise<Verdict> {
    if (command.protocol !== "postgresql")
      return this.#notUnderstood(ground, `protocol ${command.protocol} is not known`);
    // The fast path names a function by number, and has no text.
    if (command.unit === "function-call") return this.#resolved(request, ground, command, functionCall(), undefined);
    const unsafe = unsafeSetting(command);
    if (unsafe !== undefined) return this.#refuse({ ...unsafeRefusal(unsafe), ...known(ground) });
    if (command.named.length > MAX_NAMED)
      return this.#notUnderstood(ground, "the session has too many prepared statements");
    const outline = this.#options.analyser.outline(ground.session.sessionId, command.text);
    if (outline instanceof Promise) return outline.then(() => this.#again(request, command.text, outline));
    return this.#outlined(request, ground, command, outline, new Map());
  }

  /** After a wait the world may have moved: begin with what is published now. */
  async #again(request: CheckRequest, text: string, outline: Promise<Understanding>): Promise<Verdict> {
    const ground = this.#ground(request.session);
    if ("reason" in ground) return this.#refuse(ground);
    if (request.subject?.$case !== "command") return this.#refuse(unknownSubject("The check asks about nothing."));
    return this.#outlined(request, ground, request.subject.value, await outline, new Map([[text, await outline]]));
  }

  #outlined(
    request: CheckRequest,
    ground: Ground,
    command: CommandCheck,
    outline: Understanding,
    texts: Map<string, Understanding>,
  ): Verdict | Promise<Verdict> {
    if (isRefused(outline)) return this.#notUnderstood(ground, outline.refused);
    if (outline.unsafeSetting !== undefined) {
      return this.#refuse({ ...unsafeRefusal(outline.unsafeSetting), ...known(ground) });
    }
    const { analyser, state } = this.#options;
    const { session } = ground;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const resolved = resolve(outline, {
        index: state.schemas.of(session.connection, session.database),
        database: session.database,
        searchPath: command.searchPath.length === 0 ? undefined : command.searchPath,
        schemaTouched: command.schemaTouched,
        named: command.named,
        temporary: command.temporary,
        hidden: ground.hidden.classes,
        followAll: this.#options.followAll,
        lookup: (text) => texts.get(text),
      });
      if (resolved.kind === "resolved") return this.#resolved(request, ground, command, resolved, outline);
      const waiting = fill(texts, resolved.texts, (text) => analyser.outline(session.sessionId, text));
      if (waiting !== undefined) {
        return waiting.then(() => {
          const fresh = this.#ground(request.session);
          return "reason" in fresh ? this.#refuse(fresh) : this.#outlined(request, fresh, command, outline, texts);
        });
      }
    }
    return this.#notUnderstood(ground, "it refers to too many other statements and views");
  }

  #resolved(
    request: CheckRequest,
    ground: Ground,
    command: CommandCheck,
    resolved: Resolved,
    outline: Outline | undefined,
  ): Verdict | Promise<Verdict> {
    const { session, set, published } = ground;
    const { facts, touches } = resolved;
    if (touches.length > MAX_TARGETS) return this.#notUnderstood(ground, "it touches too many relations");
    const place = { connection: session.connection, database: session.database };
    const questions = questionsFor(touches, place, set, published.configured);
    // BEGIN, SHOW and their like touch nothing: whoever may be here may say them.
    if (questions.length === 0) questions.push({ action: "connect", resource: ground.connection, called: "it" });
    const actions = [...new Set(questions.map((question) => question.action))];
    const paths = pathsOf(set, actions);
    if (mentions(paths, "text") && command.text.length > MAX_CONTEXT_TEXT) {
      return this.#notUnderstood(
        ground,
        `the policies look at texts, and it is longer than ${MAX_CONTEXT_TEXT} characters`,
      );
    }
    const input = { protocol: command.protocol, text: command.text, facts, settings: resolved.settings };
    const { timeZone } = this.#options;
    const built = buildContext(paths, { session, command: input, nowMs: ground.nowMs, timeZone });
    const parts: Parts = {
      kind: "command",
      questions,
      context: built.context,
      facts,
      cache: scope(resolved, outline, mentions(paths, "text"), {
        ...built,
        expiresAtMs: earlier(built.expiresAtMs, ground.hidden.expiresAtMs),
      }),
      command,
    };
    const findings = noFindings();
    if (questions.length <= QUESTIONS_A_TURN) {
      for (const question of questions)
        ask(question, { set, principal: ground.principal, context: built.context }, findings);
      return this.#decide(ground, findings, parts);
    }
    return this.#inTurns(request, ground, findings, parts);
  }

  async #inTurns(request: CheckRequest, ground: Ground, findings: Findings, parts: Parts): Promise<Verdict> {
    const { set, principal, published } = ground;
    for (let at = 0; at < parts.questions.length; at += QUESTIONS_A_TURN) {
      // Another configuration came meanwhile, and this one's sets are gone.
      if (this.#options.state.published?.generation !== published.generation) return await this.judge(request);
      for (const question of parts.questions.slice(at, at + QUESTIONS_A_TURN)) {
        ask(question, { set, principal, context: parts.context }, findings);
      }
      await new Promise<void>((resume) => setImmediate(resume));
    }
    return this.#decide(ground, findings, parts);
  }

  #context(ground: Ground, actions: readonly PolicyAction[]): ReturnType<typeof buildContext> {
    const { timeZone } = this.#options;
    return buildContext(pathsOf(ground.set, actions), { session: ground.session, nowMs: ground.nowMs, timeZone });
  }

  /** The strictest of what was found. */
  #decide(ground: Ground, findings: Findings, parts: Parts): Verdict {
    const { set, session } = ground;
    const { limits, usedUp, counted } = limitsOf(findings.limits, set, session.counts);
    const base = { ...known(ground), facts: parts.facts, inputs: inputs(ground, parts, counted), cache: parts.cache };
    const shadow = [...findings.shadow].toSorted();
    const deny = (reason: Verdict["reason"], message: string, determining: Iterable<string>): Verdict =>
      this.#verdict({
        ...base,
        outcome: Outcome.OUTCOME_DENY,
        reason,
        message,
        determining: [...determining].toSorted(),
      });
    if (findings.errors.size > 0) {
      base.cache = CacheScope.fromPartial({});
      const ids = [...findings.errors].filter((id) => id !== "");
      return deny(DenyReason.DENY_REASON_EVALUATION_ERROR, evaluationFailed(findings.errors), ids);
    }
    if (findings.forbids.size > 0) {
      return deny(DenyReason.DENY_REASON_POLICY, forbidden([...findings.forbids].toSorted(), set), findings.forbids);
    }
    if (findings.notPermitted.length > 0) {
      const message = notPermitted(findings, ground.principalId, session.connection);
      return deny(DenyReason.DENY_REASON_NOT_PERMITTED, message, []);
    }
    const found = holdsOf([...findings.holds, ...usedUp].toSorted(), set);
    const access = this.#options.state.windows.lift(found, session, ground.nowMs);
    const holds = access.remaining;
    const command = parts.command;
    const grant = command !== undefined && command.approvalId !== "" ? this.#grant(ground, command) : undefined;
    if (grant?.kind === "invalid") {
      base.cache = CacheScope.fromPartial({});
      return deny(DenyReason.DENY_REASON_NOT_APPROVED, `This is not approved: ${grant.message}.`, []);
    }
    // Nobody waits at a login, nor for it.
    if (holds.some((hold) => hold.windowSeconds !== undefined)) {
      const message = accessAskedFor(holds, ground.session, ground.defaultDatabase);
      const ids = holds.map((hold) => hold.policyId);
      return { ...deny(DenyReason.DENY_REASON_NOT_APPROVED, message, ids), holds, cache: CacheScope.fromPartial({}) };
    }
    if (holds.length > 0 && grant === undefined) {
      const ids = holds.map((hold) => hold.policyId);
      const cache = CacheScope.fromPartial({});
      const message = held(ids, set);
      return this.#verdict({ ...base, outcome: Outcome.OUTCOME_HOLD, message, determining: ids, shadow, holds, cache });
    }
    if (holds.length > 0 && grant !== undefined && !covers(grant.holds, holds)) {
      base.cache = CacheScope.fromPartial({});
      const message = "The policies have changed since this was approved. Run it again to ask anew.";
      return deny(
        DenyReason.DENY_REASON_NOT_APPROVED,
        message,
        holds.map((hold) => hold.policyId),
      );
    }
    // What holds and is lifted has decided too: the verdict names it, and who let it be lifted.
    const determining = [...findings.permits, ...access.lifted.map((one) => one.policyId)].toSorted();
    const approvalId = grant === undefined ? access.approvalId : (command?.approvalId ?? "");
    const expiresAtMs = earlier(base.cache.expiresAtMs, access.untilMs);
    const cache = grant === undefined ? { ...base.cache, expiresAtMs } : CacheScope.fromPartial({});
    return this.#verdict({
      ...base,
      outcome: Outcome.OUTCOME_FORWARD,
      determining,
      shadow,
      approvalId,
      cache,
      limits: withoutGranted(limits, [...(grant?.holds ?? []), ...access.lifted]),
    });
  }

  #grant(ground: Ground, command: CommandCheck): ReturnType<State["grants"]["check"]> {
    return this.#options.state.grants.check({
      approvalId: command.approvalId,
      sessionId: ground.session.sessionId,
      principalId: ground.principalId,
      connection: ground.session.connection,
      database: ground.session.database,
      digest: command.digest,
    });
  }

  #notUnderstood(ground: Ground, why: string): Verdict {
    const reason = DenyReason.DENY_REASON_NOT_UNDERSTOOD;
    return this.#refuse({ reason, message: notUnderstood(why), ...known(ground) });
  }

  #refuse(refusal: Refusal): Verdict {
    // Nothing is known of the command: it counts as the worst it could be.
    const facts = CommandFacts.fromPartial({ actions: ["opaque"], opaque: true, userCode: true, sessionEffect: true });
    return this.#verdict({ facts, asOf: this.#options.asOf(), ...refusal, outcome: Outcome.OUTCOME_DENY });
  }

  #verdict(parts: Partial<Verdict>): Verdict {
    const { published } = this.#options.state;
    const classes = published?.configured.classes ?? [];
    return {
      ...Verdict.fromPartial({}),
      id: randomUUID(),
      policySet: published?.set?.digest ?? "",
      engine: ENGINE,
      parser: PARSER,
      cache: CacheScope.fromPartial({}),
      hiddenClasses: [...classes],
      atMs: this.#options.now(),
      ...parts,
    };
  }
}

interface Parts {
  kind: "connect" | "command";
  questions: Question[];
  context: Record<string, CedarValueJson>;
  facts: CommandFacts;
  cache: CacheScope;
  command?: CommandCheck;
}

const unknownSubject = (message: string): Refusal => ({ reason: DenyReason.DENY_REASON_UNKNOWN_SUBJECT, message });

const unsafeRefusal = (why: string): Refusal => ({
  reason: DenyReason.DENY_REASON_UNSAFE_SETTING,
  message: `The command is refused, because its analysis would not hold: ${why}.`,
});

const isExpired = (principal: Principal | undefined, nowMs: number): boolean =>
  principal !== undefined && principal.expiresAtMs > 0 && principal.expiresAtMs <= nowMs;

/** What is known whatever the answer. */
const known = (ground: Ground): Partial<Verdict> => ({
  asOf: ground.asOf,
  atMs: ground.nowMs,
  hiddenClasses: [...ground.hidden.classes],
  mayWrite: ground.mayWrite,
});

function pathsOf(set: LoadedSet, actions: readonly PolicyAction[]): Set<string> {
  const paths = new Set<string>();
  for (const action of actions) for (const path of set.references(action).context) paths.add(path);
  return paths;
}

/** All that Cedar was asked, so that it can be asked again: canonical JSON (RFC 8785). */
function inputs(ground: Ground, parts: Parts, counted: Readonly<Record<string, number>>): Buffer {
  const { session } = ground;
  const asked = {
    version: 1,
    kind: parts.kind,
    connection: session.connection,
    database: session.database,
    principal: ground.principal,
    context: parts.context,
    requests: listed(parts.questions, ground.set).map(({ action, resource, only }) => {
      return only === undefined ? { action, resource } : { action, resource, only };
    }),
    ...(parts.questions.length > MAX_LISTED ? { asked: parts.questions.length } : {}),
    ...(Object.keys(counted).length === 0 ? {} : { counted }),
    ...(parts.command?.approvalId ? { approval: parts.command.approvalId } : {}),
  };
  return Buffer.from(canonicalize(asked) ?? "", "utf8");
}

/** Beyond some number, only one of all that the policies cannot tell apart. */
function listed(questions: readonly Question[], set: LoadedSet): readonly Question[] {
  if (questions.length <= MAX_LISTED) return questions;
  const distinct = new Map<string, Question>();
  for (const question of questions) {
    const seen = JSON.stringify([question.action, question.only, set.lens(question.action).see(question.resource)]);
    if (!distinct.has(seen)) distinct.set(seen, question);
  }
  return [...distinct.values()];
}

/** Where the verdict holds, too. */
function scope(
  resolved: Resolved,
  outline: Outline | undefined,
  textMatters: boolean,
  { expiresAtMs, momentary, countsProbes }: Pick<BuiltContext, "expiresAtMs" | "momentary" | "countsProbes">,
): CacheScope {
  const { facts } = resolved;
  const lasting =
    !facts.sessionEffect && !facts.defines && !facts.opaque && !resolved.usesNamed && facts.named.length === 0;
  if (outline === undefined || !lasting || momentary) return CacheScope.fromPartial({});
  const { erasable } = outline;
  const literals = !textMatters && erasable.length > 0 && erasable.length <= MAX_ERASABLE;
  return {
    kind: literals ? CacheScope_Kind.KIND_LITERALS : CacheScope_Kind.KIND_EXACT,
    erasable: literals ? [...erasable] : [],
    expiresAtMs,
    ...(countsProbes ? { countsProbes } : {}),
  };
}

/** Adds what can be understood at once; a promise for the rest. */
function fill(
  texts: Map<string, Understanding>,
  wanted: readonly string[],
  outline: (text: string) => Understanding | Promise<Understanding>,
): Promise<unknown> | undefined {
  const waiting: Promise<unknown>[] = [];
  for (const text of wanted) {
    const understanding = outline(text);
    if (understanding instanceof Promise) waiting.push(understanding.then((u) => texts.set(text, u)));
    else texts.set(text, understanding);
  }
  return waiting.length === 0 ? undefined : Promise.all(waiting);
}

function functionCall(): Resolved {
  const facts = CommandFacts.fromPartial({
    actions: ["opaque"],
    verbs: ["function-call"],
    hasWhere: true,
    statementCount: 1,
    opaque: true,
    userCode: true,
    sessionEffect: true,
  });
  const touches = [{ action: "opaque" as const, target: databaseTarget }];
  return { kind: "resolved", facts, touches, settings: [], usesNamed: false };
}
