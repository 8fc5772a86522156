/**
 * Nothing is admitted later than a second after a change was acknowledged, whoever cannot hear of it: the log says so, and
 * so does the target's own log.
 */
import { bearer, call } from "@sallyport/cli/api";
import { prepareProfile } from "@sallyport/local/profiles";
import { freePorts } from "@sallyport/local/ports";
import { afterAll, beforeAll, expect, test } from "vitest";
import { auditLog, type AuditLog } from "./audit-log.ts";
import { startGuarded, type GuardedGateway } from "./guarded.ts";
import { lastArrivalAt, Presser } from "./presser.ts";
import { Proxy } from "./proxy.ts";
import { query, RawClient } from "./raw-client.ts";
import { asSuperuser, logStatements, marker } from "./target.ts";
import { pause, until } from "./until.ts";

const SECOND = 1_000;
/** A partition lasts longer than a lease and a second, and less than the edge waits for the bus. */
const PARTITION_MS = 2_500;

let guarded: GuardedGateway;
let log: AuditLog;
/** the buses as edge and policy see them */
const buses: { edge: Proxy; policy: Proxy } = {} as never;

beforeAll(async () => {
  const ports = await freePorts();
  const nats = { host: "127.0.0.1", port: ports.nats };
  for (const name of ["edge", "policy"] as const) buses[name] = await Proxy.between(0, nats);
  const by = ({ port }: Proxy) => ({ nats: { servers: [`nats://127.0.0.1:${port}`] } });
  guarded = await startGuarded({ ports, overrides: { "edge-postgres": by(buses.edge), policy: by(buses.policy) } });
  log = auditLog(guarded.gateway.api, guarded.profile("security"));
  const { target } = guarded.gateway.stack;
  await asSuperuser(target, "postgres", (client) => client.query("ALTER SYSTEM SET log_timezone = 'UTC'"));
  await logStatements(target);
}, 120_000);
afterAll(async () => {
  await guarded?.stop();
  for (const proxy of Object.values(buses)) proxy.stop();
});

/** Who presses, what takes the right away (ms since 1970 at which that was acknowledged), and what gives it back. */
interface Change {
  who(): Promise<{ user: string; token: string; database: string }>;
  make(): Promise<number>;
  undo(): Promise<unknown>;
}

const engineer = () => ({ user: "engineer", token: guarded.profile("engineer").token });
const NOT_IN_SANDBOX = `@id("closed") @message("Closed.") forbid (principal in Group::"engineers",
  action in [Action::"connect", Action::"read"], resource in Label::"env=development");`;
/** The provider's groups by other names: engineers are nobody any more. */
const mapping = (): string => {
  const issuer = `https://localhost:${guarded.gateway.stack.ports.idp}`;
  const groups = ["dba", "security", "contractors"].map((group) => ({ issuer, claim: group, group }));
  return JSON.stringify({ groups, issuers: [] });
};
let tokenId = "";
let windowId = "";

const changes: Readonly<Record<string, Change>> = {
  "a policy": {
    who: async () => ({ ...engineer(), database: "sandbox" }),
    make: () => guarded.apply(NOT_IN_SANDBOX),
    undo: () => guarded.apply(),
  },
  "somebody's groups": {
    who: async () => ({ ...engineer(), database: "sandbox" }),
    make: () => guarded.apply("", mapping()),
    undo: () => guarded.apply(),
  },
  "a token that is revoked": {
    who: async () => {
      const { api } = guarded.gateway;
      const request = { label: "pressed", ttlSeconds: 600, actor: "" };
      const made = await call(api.access, api.access.createToken, request, bearer(engineer().token));
      tokenId = made.token!.tokenId;
      return { user: "engineer", token: made.token!.token, database: "sandbox" };
    },
    make: async () => {
      const { api } = guarded.gateway;
      const request = { what: { $case: "tokenId", value: tokenId } as const, reason: "a test" };
      await call(api.access, api.access.revoke, request, bearer(guarded.profile("security").token));
      return Date.now();
    },
    undo: async () => undefined,
  },
  "a window that is taken back": {
    who: async () => {
      windowId = (await guarded.letIn("engineer", 600)).approvalId;
      return { ...engineer(), database: "guarded" };
    },
    make: async () => {
      await guarded.decide("dba", windowId, false);
      return Date.now();
    },
    undo: async () => undefined,
  },
  "a window that ends": {
    who: async () => {
      windowEnds = (await guarded.letIn("engineer", 10)).window!.untilMs;
      return { ...engineer(), database: "guarded" };
    },
    make: async () => {
      await pause(windowEnds - Date.now());
      return windowEnds;
    },
    undo: async () => undefined,
  },
  "somebody who leaves": {
    who: async () => {
      const { stack, api } = guarded.gateway;
      const account = stack.accounts.find(({ name }) => name === "contractor")!;
      return { user: "contractor", token: (await prepareProfile(stack, api, account)).token, database: "sandbox" };
    },
    make: async () => {
      const { api } = guarded.gateway;
      const request = { what: { $case: "principalId", value: "user:contractor" } as const, reason: "a test" };
      await call(api.access, api.access.revoke, request, bearer(guarded.profile("security").token));
      return Date.now();
    },
    undo: async () => {
      const { api } = guarded.gateway;
      const request = { principalId: "user:contractor", reason: "a test" };
      await call(api.access, api.access.reinstate, request, bearer(guarded.profile("security").token));
    },
  },
};
let windowEnds = 0;

/** Who cannot hear of it, from before it is made or from the moment that it is acknowledged. */
const partitions: Readonly<Record<string, { before?: keyof typeof buses; after?: keyof typeof buses }>> = {
  "nobody is cut off": {},
  "the edge is cut off before": { before: "edge" },
  "the edge is cut off as it is acknowledged": { after: "edge" },
  "policy is cut off before": { before: "policy" },
};

const [POLICY, GROUPS, TOKEN, BACK, ENDS, LEAVES] = Object.keys(changes) as [string, ...string[]];
const cases: readonly [string, readonly (string | undefined)[]][] = [
  ["nobody is cut off", [POLICY, GROUPS, TOKEN, BACK, ENDS, LEAVES]],
  ["the edge is cut off before", [POLICY, BACK, ENDS, LEAVES]],
  ["the edge is cut off as it is acknowledged", [GROUPS, TOKEN, BACK]],
  // It is asked by the edge, which knows; what others cannot tell it, it must not be asked to decide.
  ["policy is cut off before", [POLICY, GROUPS, BACK]],
];
/** Whose statements began with which tag, and when what they do was acknowledged to be over. */
const made: { tag: string; acknowledged: number }[] = [];

test.each(cases.flatMap(([partition, all]) => all.map((change) => [change!, partition] as const)))(
  "%s, %s",
  async (change, partition) => {
    const tag = `press${made.length}`;
    const { who, make, undo } = changes[change]!;
    const { before, after } = partitions[partition]!;
    const { ports, ca } = guarded.address;
    const whom = await who();
    const presser = new Presser({ port: ports.edgePostgres, ca, tag, ...whom });
    const sleeper = await RawClient.login({ port: ports.edgePostgres, ca, ...whom }, whom.database);
    let acknowledged = 0;
    try {
      expect(sleeper.report).toBeUndefined();
      const text = `SELECT pg_sleep(${600 + made.length})`;
      sleeper.send(query(text));
      await presser.presses(10);
      await until("the sleeper runs", async () => ((await running(text)) > 0 ? true : undefined));
      if (before !== undefined) buses[before].freeze();
      acknowledged = await make();
      made.push({ tag, acknowledged });
      if (after !== undefined) buses[after].freeze();
      const cut = before ?? after;
      if (cut === undefined) {
        await sleeper.end();
        expect(Date.now() - acknowledged).toBeLessThan(SECOND);
      } else {
        await pause(acknowledged + PARTITION_MS - Date.now());
        buses[cut].thaw();
      }
      await presser.isRefused(5);
      await until("what ran is cancelled", async () => ((await running(text)) === 0 ? true : undefined));
      await sleeper.end();
      expect(presser.ran).toBeGreaterThan(0);
    } finally {
      for (const bus of Object.values(buses)) bus.thaw();
      sleeper.vanish();
      await presser.stop();
      await undo();
    }
  },
);

test("a second after each of them, nothing was admitted any more: the log says so, and the target's own log", async () => {
  await allInTheLog();
  const rows = await log.ask(
    `SELECT extract(statement, 'id:(press[0-9]+)-') AS tag, toUnixTimestamp64Milli(max(greatest(admitted_at, forwarded_at))) AS last
     FROM commands WHERE ${of("press")} AND forwarded_at IS NOT NULL GROUP BY tag`,
  );
  const admitted = new Map(rows.map(({ tag, last }) => [String(tag), Number(last)]));
  for (const { tag, acknowledged } of made) {
    // Something was, before: or it proves nothing.
    for (const last of [admitted.get(tag) ?? 0, lastArrivalAt(guarded.gateway.stack.target, tag)])
      expect([tag, last > 0, last - acknowledged < SECOND]).toEqual([tag, true, true]);
  }
  expect(made.length).toBe(cases.flatMap(([, all]) => all).length);
});

function running(text: string): Promise<number> {
  return asSuperuser(guarded.gateway.stack.target, "postgres", async (client) => {
    const sql = "SELECT count(*)::int AS n FROM pg_stat_activity WHERE state = 'active' AND query = $1";
    return (await client.query<{ n: number }>(sql, [text])).rows[0]!.n;
  });
}

/** The log has everything up to now: also what is said behind it. */
async function allInTheLog(): Promise<void> {
  const { ports, ca } = guarded.address;
  const whom = { user: "dba", token: guarded.profile("dba").token };
  await until("the edge is back", async () => {
    const last = await RawClient.login({ port: ports.edgePostgres, ca, ...whom }, "sandbox");
    last.send(query(`SELECT 1 ${marker("behind")}`));
    await last.until("Z", "E");
    last.vanish();
    return last.messages.some(({ type }) => type === "C") ? true : undefined;
  });
  await log.find("all of it in the log", `SELECT 1 FROM commands WHERE ${of("behind")} AND status = 'ok'`, (rows) =>
    rows.length > 0 ? true : undefined,
  );
}

const of = (id: string): string => `statement LIKE '%/* id:${id}%'`;
