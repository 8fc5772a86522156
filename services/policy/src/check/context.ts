/** The context of a request: only what some policy of the set looks at, so that nothing else can matter to a verdict. */

import { isIP } from "node:net";
import type { SessionContext } from "@sallyport/proto/policy";
import type { CommandFacts } from "@sallyport/proto/verdict";
import type { CedarValueJson } from "../cedar/engine.ts";
import { mentions } from "../cedar/references.ts";

type Values = Record<string, CedarValueJson>;

/** Long enough for any policy, and exact in JSON. */
const NEVER = Number.MAX_SAFE_INTEGER;
/** A policy that looks at texts gets no longer ones. */
export const MAX_CONTEXT_TEXT = 65_536;

export interface CommandInput {
  protocol: string;
  text: string;
  facts: CommandFacts;
  settings: readonly string[];
}

export interface ContextInput {
  session?: SessionContext;
  command?: CommandInput;
  nowMs: number;
  /** IANA name */
  timeZone: string;
}

export interface BuiltContext {
  context: Values;
  /** ms since 1970 until which the context stays as it is; 0: it does not move */
  expiresAtMs: number;
  /** it has what the next row changes: nothing that depends on it holds for another command */
  momentary: boolean;
  /** it has what the next probing command changes */
  countsProbes: boolean;
}

export function buildContext(paths: ReadonlySet<string>, input: ContextInput): BuiltContext {
  const context: Values = {};
  const expiries: number[] = [];
  if (input.session !== undefined) {
    const session = pick(paths, "session", sessionValues(input.session, input.nowMs));
    if (session !== undefined) context["session"] = session;
    const ages = ["session.age", "session.auth_age"].some((path) => mentions(paths, path));
    if (ages) expiries.push(input.nowMs + 1_000);
  }
  if (mentions(paths, "clock")) {
    const { hour, weekday, untilMs } = clockAt(input.nowMs, input.timeZone);
    context["clock"] = pick(paths, "clock", { hour, weekday }) ?? {};
    expiries.push(untilMs);
  }
  if (input.command !== undefined) {
    const command = pick(paths, "command", commandValues(input.command));
    if (command !== undefined) context["command"] = command;
    if (mentions(paths, "text")) context["text"] = input.command.text;
  }
  const momentary = ["session.rows", "session.rows_hour"].some((path) => mentions(paths, path));
  const countsProbes = ["session.probes", "session.probes_hour"].some((path) => mentions(paths, path));
  return { context, expiresAtMs: expiries.length === 0 ? 0 : Math.min(...expiries), momentary, countsProbes };
}

/** How often a session's ages are looked at again once it is open. */
const AGES_AGAIN_MS = 30_000;

/** ms since 1970 at which an open session's right to be connected is to be decided again; 0: not by time. */
export function connectExpiry(paths: ReadonlySet<string>, nowMs: number, timeZone: string): number {
  const expiries: number[] = [];
  if (mentions(paths, "clock")) expiries.push(clockAt(nowMs, timeZone).untilMs);
  if (["session.age", "session.auth_age"].some((path) => mentions(paths, path))) expiries.push(nowMs + AGES_AGAIN_MS);
  return expiries.length === 0 ? 0 : Math.min(...expiries);
}

/** Of a record, the attributes that are looked at; undefined: none is. */
function pick(paths: ReadonlySet<string>, name: string, values: Values): Values | undefined {
  if (!mentions(paths, name)) return undefined;
  const picked: Values = {};
  for (const [key, value] of Object.entries(values)) if (mentions(paths, `${name}.${key}`)) picked[key] = value;
  return picked;
}

function sessionValues(session: SessionContext, nowMs: number): Values {
  const authTime = session.principal?.authTimeMs ?? 0;
  const address = withoutZone(session.clientAddress);
  const values: Values = {
    age: secondsSince(session.openedAtMs, nowMs),
    auth_age: authTime > 0 ? secondsSince(authTime, nowMs) : NEVER,
    mfa: session.principal?.mfa === true,
    rows: session.counts?.rows ?? 0,
    rows_hour: session.counts?.rowsHour ?? 0,
    probes: session.counts?.probes ?? 0,
    probes_hour: session.counts?.probesHour ?? 0,
  };
  // An address that is none is left out: a policy that asks for it then fails to evaluate, and that is a refusal.
  if (isIP(address) !== 0) values["client_address"] = { __extn: { fn: "ip", arg: address } };
  return values;
}

/** `fe80::1%eth0` → `fe80::1`; an address mapped into IPv6 is the IPv4 address. */
function withoutZone(address: string): string {
  const zone = address.indexOf("%");
  const plain = zone < 0 ? address : address.slice(0, zone);
  const mapped = "::ffff:";
  return plain.startsWith(mapped) && isIP(plain.slice(mapped.length)) === 4 ? plain.slice(mapped.length) : plain;
}

const secondsSince = (thenMs: number, nowMs: number): number => Math.max(0, Math.floor((nowMs - thenMs) / 1_000));

function commandValues({ protocol, facts, settings }: CommandInput): Values {
  return {
    protocol,
    verbs: facts.verbs,
    actions: facts.actions,
    relations: [...new Set(facts.relations.map((r) => (r.schema === "" ? r.name : `${r.schema}.${r.name}`)))],
    functions: facts.functions,
    settings: [...settings],
    has_where: facts.hasWhere,
    statements: facts.statementCount,
    opaque: facts.opaque,
    defines: facts.defines,
    user_code: facts.userCode,
    unknown: facts.relations.some((relation) => relation.kind === "unknown"),
    probes: facts.probedClasses,
    searches: facts.searchedClasses,
  };
}

const formats = new Map<string, Intl.DateTimeFormat>();
const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/** Hour and weekday, and the moment at which the hour ends. */
export function clockAt(nowMs: number, timeZone: string): { hour: number; weekday: number; untilMs: number } {
  const format =
    formats.get(timeZone) ??
    new Intl.DateTimeFormat("en-US", {
      timeZone,
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      weekday: "short",
      hourCycle: "h23",
    });
  formats.set(timeZone, format);
  const parts = new Map(format.formatToParts(nowMs).map(({ type, value }) => [type, value]));
  const minute = Number(parts.get("minute"));
  const second = Number(parts.get("second"));
  const intoHour = minute * 60_000 + second * 1_000 + (((nowMs % 1_000) + 1_000) % 1_000);
  return {
    hour: Number(parts.get("hour")),
    weekday: WEEKDAYS.indexOf(parts.get("weekday") ?? "") + 1,
    untilMs: nowMs - intoHour + 3_600_000,
  };
}
