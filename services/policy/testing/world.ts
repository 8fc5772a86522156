/** The demo's world for tests: its policies as shipped, its schema, its people. Time stands still. */

import { readFileSync, readdirSync } from "node:fs";
import { Configuration, Schema } from "@sallyport/proto/catalog_model";
import type { PolicyFile } from "@sallyport/proto/catalog_model";
import { Event } from "@sallyport/proto/event";
import { CheckRequest } from "@sallyport/proto/policy";
import type { SessionCounts } from "@sallyport/proto/policy";
import { Principal, PrincipalKind, TokenKind } from "@sallyport/proto/principal";
import type { Verdict } from "@sallyport/proto/verdict";
import { Judge } from "../src/check/judge.ts";
import { Analyser } from "../src/sql/analyser.ts";
import type { AnalyserOptions } from "../src/sql/analyser.ts";
import { State } from "../src/state.ts";

const DEMO = new URL("../../../deploy/local/catalog/policies/", import.meta.url);

export const demoPolicies = (): PolicyFile[] =>
  readdirSync(DEMO)
    .filter((name) => name.endsWith(".cedar"))
    .map((name) => ({ path: `policies/${name}`, text: readFileSync(new URL(name, DEMO), "utf8") }));

const column = (number: number, name: string) => ({ number, name, typeOid: 25, type: "text", generatedFrom: [] });
const columns = (...names: string[]) => names.map((name, i) => column(i + 1, name));

export const demoSchema = (): Schema =>
  Schema.fromPartial({
    serverVersion: "18.4",
    relations: [
      {
        oid: 1001,
        schema: "public",
        name: "customers",
        kind: "table",
        columns: columns("id", "name", "email", "phone", "card_number", "notes"),
      },
      {
        oid: 1002,
        schema: "public",
        name: "orders",
        kind: "table",
        columns: columns("id", "customer_id", "amount", "status", "created_at"),
      },
      {
        oid: 1003,
        schema: "public",
        name: "customer_contacts",
        kind: "view",
        columns: columns("id", "who", "reach"),
        viewDefinition: " SELECT id, name AS who, email AS reach FROM public.customers;",
      },
      { oid: 1004, schema: "archive", name: "orders", kind: "table", columns: columns("id", "amount", "iban") },
      { oid: 1005, schema: "public", name: "audited", kind: "table", columns: columns("id", "at"), hasTriggers: true },
      {
        oid: 1006,
        schema: "public",
        name: "orders_id_seq",
        kind: "sequence",
        columns: columns("last_value", "log_cnt", "is_called"),
      },
      { oid: 1007, schema: "public", name: "measurements", kind: "partitioned", columns: columns("id", "value") },
      {
        oid: 1008,
        schema: "public",
        name: "measurements_1",
        kind: "table",
        columns: columns("id", "value"),
        parents: [1007],
      },
      {
        oid: 1009,
        schema: "public",
        name: "totals",
        kind: "table",
        columns: [...columns("a", "b"), { number: 3, name: "c", typeOid: 23, type: "integer", generatedFrom: [1, 2] }],
      },
    ],
    functions: ["public.order_total", "public.lower_all", "public.upper"],
    operators: ["public.<->"],
    types: ["public.order_status"],
  });

const CLASSES = ["email", "phone", "payment-card", "free-text", "statement-text"];

export const demoConfiguration = (policies: PolicyFile[] = demoPolicies()): Configuration => {
  const everywhere = { connection: "*", database: "*", schema: "*", relation: "*" };
  return Configuration.fromPartial({
    connections: [
      { name: "orders", protocol: "postgresql", defaultDatabase: "orders", labels: { env: "production" } },
      { name: "sandbox", protocol: "postgresql", defaultDatabase: "sandbox", labels: { env: "development" } },
    ],
    classes: CLASSES.map((name) => ({ name })),
    classifications: [
      { ...everywhere, class: "email", column: "email" },
      { ...everywhere, class: "phone", column: "phone" },
      { ...everywhere, class: "payment-card", column: "card_number" },
      { ...everywhere, class: "free-text", column: "notes" },
    ],
    policies,
  });
};

const GROUPS: Readonly<Record<string, string[]>> = {
  engineer: ["engineers"],
  dba: ["dba"],
  security: ["security"],
  contractor: ["contractors"],
};

export const NOW = Date.UTC(2026, 2, 4, 10, 30);

export function person(name: string, more: Partial<Principal> = {}): Principal {
  return Principal.fromPartial({
    id: `user:${name}`,
    kind: PrincipalKind.PRINCIPAL_KIND_USER,
    name,
    groups: GROUPS[name] ?? [],
    issuer: "https://idp.test",
    authTimeMs: NOW - 60_000,
    tokenKind: TokenKind.TOKEN_KIND_ACCESS,
    expiresAtMs: NOW + 3_600_000,
    ...more,
  });
}

export const nightlyJob = (): Principal =>
  person("contractor", {
    actors: [{ id: "workload:nightly-export", issuer: "https://idp.test" }],
    tokenKind: TokenKind.TOKEN_KIND_PERSONAL,
    tokenLabel: "nightly-export",
  });

type Command = Partial<Extract<NonNullable<CheckRequest["subject"]>, { $case: "command" }>["value"]>;

export interface World {
  state: State;
  judge: Judge;
  apply: (fact: NonNullable<Event["fact"]>) => void;
  configure: (configuration: Configuration) => void;
  clock: { nowMs: number };
  check: (text: string, more?: CommandMore) => Promise<Verdict>;
  connect: (who: Principal, connection?: string) => Promise<Verdict>;
  close: () => Promise<void>;
}

export interface CommandMore {
  as?: Principal;
  connection?: string;
  command?: Command;
  clientAddress?: string;
  counts?: Partial<SessionCounts>;
}

export interface WorldOptions {
  policies?: PolicyFile[];
  analyser?: Partial<AnalyserOptions>;
  /** false: nothing was observed */
  observed?: boolean;
  /** as for `explain` */
  followAll?: boolean;
}

export async function openWorld(options: WorldOptions = {}): Promise<World> {
  const analyser = await Analyser.open(options.analyser);
  const broken: string[] = [];
  const state = new State({ onBroken: (problem) => void broken.push(problem) });
  const clock = { nowMs: NOW };
  let sequence = 0;
  const { followAll = false } = options;
  const parts = { state, analyser, asOf: () => sequence, now: () => clock.nowMs, timeZone: "UTC" };
  const judge = new Judge({ ...parts, followAll });
  const apply: World["apply"] = (fact) => {
    sequence++;
    state.apply(Event.fromPartial({ id: `e${sequence}`, fact }));
  };
  const configure = (configuration: Configuration): void =>
    apply({ $case: "configurationApplied", value: { configuration, digest: "", changes: [] } });
  configure(demoConfiguration(options.policies));
  if (options.policies === undefined && broken.length > 0) throw new Error(broken.join("; "));
  if (options.observed !== false) {
    for (const name of ["orders", "sandbox"]) {
      apply({
        $case: "schemaObserved",
        value: { connection: name, database: name, schema: demoSchema(), digest: "", edge: "e" },
      });
    }
  }
  const session = (who: Principal, connection: string, clientAddress = "10.0.0.7") => ({
    sessionId: "s1",
    principal: who,
    connection,
    database: connection,
    clientAddress,
    openedAtMs: NOW - 5_000,
    edge: "edge-postgres-1",
  });
  return {
    state,
    judge,
    apply,
    configure,
    clock,
    check: async (
      text,
      { as = person("engineer"), connection = "orders", command = {}, clientAddress, counts } = {},
    ) => {
      const value = {
        protocol: "postgresql",
        unit: "simple-query",
        text,
        searchPath: ["public"],
        role: "sallyport_app",
        settings: { standard_conforming_strings: "on", client_encoding: "UTF8" },
        ...command,
      };
      const subject = { $case: "command" as const, value };
      const asking = { ...session(as, connection, clientAddress), ...(counts === undefined ? {} : { counts }) };
      return await judge.judge(CheckRequest.fromPartial({ session: asking, subject }));
    },
    connect: async (who, connection = "orders") => {
      const subject = { $case: "connect" as const, value: {} };
      return await judge.judge(CheckRequest.fromPartial({ session: session(who, connection), subject }));
    },
    close: () => analyser.close(),
  };
}
