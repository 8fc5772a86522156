import { PassThrough } from "node:stream";
import { expect, onTestFinished, test } from "vitest";
import type { Connection } from "@sallyport/proto/catalog_model";
import { Outcome } from "@sallyport/proto/verdict";
import { AppError } from "@sallyport/runtime";
import { testPlace, type TestPlace, type TestSettings } from "../testing/live-session.ts";
import { recordingOnlyLinks, signedVerdict, testPrincipal } from "../testing/recording-only.ts";
import type { Links } from "./links.ts";
import type { Accepted, LoginRequest, Refused } from "./login-interface.ts";
import { logIn } from "./login.ts";
import type { SessionEnd } from "./outcome.ts";

const request: LoginRequest = {
  token: "a-token-nobody-may-see",
  claimedUser: "engineer",
  connection: "orders",
  database: "",
  clientAddress: "192.0.2.1:5000",
  clientApplication: "psql",
  tls: "TLSv1.3",
};
const orders = { name: "orders", protocol: "test", host: "db", port: 5432, defaultDatabase: "orders" } as Connection;

async function place(
  links: (base: Links) => Partial<Links> = () => ({}),
  settings: TestSettings = {},
): Promise<TestPlace> {
  const base = recordingOnlyLinks(new Map([["orders", orders]]));
  const made = await testPlace({ ...settings, links: { ...base, ...links(base) } });
  made.bus.automatic = true;
  onTestFinished(() => made.lane.close());
  return made;
}

const target = { target: "db:5432", role: "app", version: "18", tls: "" };

async function accepted(made: TestPlace, change: Partial<LoginRequest> = {}): Promise<Accepted> {
  const login = await logIn(made.place, { ...request, ...change });
  if (login.outcome !== "accepted") throw new Error(login.message);
  return login;
}

async function refusal(made: TestPlace, change: Partial<LoginRequest> = {}): Promise<Refused> {
  const login = await logIn(made.place, { ...request, ...change });
  if (login.outcome !== "refused") throw new Error(login.outcome);
  return login;
}

test("an accepted login opens a session; SessionOpened is acknowledged and names the connect decision", async () => {
  const made = await place();
  const login = await accepted(made);
  expect(login).toMatchObject({ database: "orders", connection: orders, principal: { id: "user:engineer" } });
  const session = await login.open(target, new PassThrough());
  expect(session.id).toBe(login.sessionId);
  expect(made.place.registry.size).toBe(1);
  await session.close();
  const records = made.bus.records();
  expect(records.map(({ kind }) => kind)).toEqual(["sessionOpened", "verdictReached", "sessionClosed"]);
  const opened = records[0]?.body.fact;
  if (opened?.$case !== "sessionOpened") throw new Error("not opened");
  expect(opened.value).toMatchObject({ target: "db:5432", durability: "process", clientApplication: "psql" });
  expect(opened.value.verdictId).not.toBe("");
  expect(made.place.registry.size).toBe(0);
});

test("every refusal is on record with its public sentence, and nothing of the token", async () => {
  const fails = (code: "unauthenticated" | "unavailable", message: string): Partial<Links> => ({
    identity: {
      async authenticate() {
        throw new AppError(code, "identity.authenticate", message);
      },
      recheck: () => Promise.reject(new Error()),
    },
  });
  const deny: Partial<Links> = {
    policy: {
      check: async (question) => signedVerdict(question, { outcome: Outcome.OUTCOME_DENY, message: "not you" }),
    },
  };
  const held: Partial<Links> = {
    policy: {
      check: async (question) => signedVerdict(question, { outcome: Outcome.OUTCOME_HOLD, holds: [{} as never] }),
    },
  };
  const cases: [Partial<Links>, Partial<LoginRequest>, string, string][] = [
    [fails("unauthenticated", "the token has expired"), {}, "unauthenticated", "the token has expired"],
    [fails("unavailable", "nobody answers"), {}, "unavailable", "nobody answers"],
    [{}, { connection: "nowhere" }, "not-found", "there is no connection nowhere"],
    [deny, {}, "not-permitted", "not you"],
    [held, {}, "not-permitted", "user:engineer may not connect to orders"],
  ];
  for (const [links, change, code, message] of cases) {
    const made = await place(() => links);
    expect(await refusal(made, change)).toEqual({ outcome: "refused", code, message });
    const fact = made.bus.records().find(({ kind }) => kind === "sessionRefused")?.body.fact;
    expect(fact?.value).toMatchObject({ code, error: message, claimedUser: "engineer" });
    expect(made.bus.published.every(({ bytes }) => !bytes.includes(request.token))).toBe(true);
    expect(made.place.registry.size).toBe(0);
  }
});

test("a fault in a neighbour's answer is internal, and its text stays inside", async () => {
  const made = await place(() => ({ policy: { check: () => Promise.reject(new Error("secret detail")) } }));
  expect(await refusal(made)).toMatchObject({ code: "internal", message: "internal error" });
});

test("a principal that is withdrawn between login and session gets none", async () => {
  const made = await place();
  const login = await accepted(made);
  made.world.say({ $case: "principalOffboarded", value: { principalId: "user:engineer", reason: "", tokenIds: [] } });
  expect(login.signal.aborted).toBe(true);
  await expect(login.open(target, new PassThrough())).rejects.toMatchObject({ code: "unauthenticated" });
  expect(made.place.registry.size).toBe(0);
});

test("identity that has not seen a withdrawal that we have is not believed", async () => {
  const made = await place();
  const seq = made.world.say({
    $case: "tokenRevoked",
    value: { tokenId: "token-of-engineer", principalId: "user:engineer", reason: "", withDescendants: false },
  });
  expect(seq).toBeGreaterThan(0);
  expect(await refusal(made)).toMatchObject({ code: "unauthenticated", message: "Your access has been withdrawn." });
});

test("a target that cannot be reached is a refusal on record", async () => {
  const made = await place();
  const login = await accepted(made);
  expect(await login.refuse("unavailable", "the target cannot be reached")).toMatchObject({ outcome: "refused" });
  expect(made.bus.kinds()).toEqual(["sessionRefused", "verdictReached"]);
  expect(made.place.registry.size).toBe(0);
});

test("too many sessions, no lease, and a dead bus are told apart", async () => {
  const full = await place(() => ({}), { limits: { sessions: 1 } });
  await (await accepted(full)).open(target, new PassThrough());
  expect(await refusal(full)).toMatchObject({ code: "exhausted" });
  const stale = await place();
  stale.world.fresh = false;
  expect(await refusal(stale)).toMatchObject({ code: "unavailable" });
  const dead = await place(() => ({}), { lane: { ackTimeoutMs: 20, giveUpMs: 60 } });
  dead.bus.automatic = false;
  const login = await accepted(dead);
  await expect(login.open(target, new PassThrough())).rejects.toMatchObject({ code: "unavailable" });
  expect(dead.lane.healthy).toBe(false);
  expect(await refusal(dead)).toMatchObject({ code: "unavailable", message: "the log cannot be written right now" });
});

test("withdrawal, expiry and a failed recheck end a session; new groups are asked for before the next decision", async () => {
  const made = await place((base) => ({
    identity: {
      ...base.identity,
      authenticate: async ({ claimedUser }) => ({
        principal: testPrincipal(claimedUser, claimedUser === "late" ? { expiresAtMs: Date.now() + 50 } : {}),
        asOf: 100,
        recheckAfterMs: 0,
      }),
      recheck: async (tokenId) => {
        if (tokenId === "token-of-gone") throw new AppError("unauthenticated", "identity.recheck", "revoked");
        return { principal: testPrincipal("moved", { groups: ["dba"] }), asOf: 200, recheckAfterMs: 0 };
      },
    },
  }));
  const open = async (claimedUser: string) => (await accepted(made, { claimedUser })).open(target, new PassThrough());
  const why = (session: { signal: AbortSignal }): string => (session.signal.reason as SessionEnd).cause;

  const revoked = await open("leaver");
  made.world.say({ $case: "principalOffboarded", value: { principalId: "user:leaver", reason: "", tokenIds: [] } });
  expect(why(revoked)).toBe("revoked");

  const late = await open("late");
  await expect.poll(() => late.signal.aborted).toBe(true);
  expect(why(late)).toBe("expired");

  const gone = await open("gone");
  made.world.say({
    $case: "principalGroupsChanged",
    value: { principalId: "user:gone", groups: [], providerGroups: [], verifiedAtMs: 0 },
  });
  await expect.poll(() => gone.signal.aborted).toBe(true);
  expect(why(gone)).toBe("revoked");

  const moved = await open("moved");
  made.world.say({
    $case: "principalGroupsChanged",
    value: { principalId: "user:moved", groups: ["dba"], providerGroups: [], verifiedAtMs: 0 },
  });
  const decision = await moved.gate.decide({ unit: "simple-query", text: Buffer.from("select 1") });
  expect(decision.outcome).toBe("forward");
  expect(moved.principal.groups).toEqual(["dba"]);
});
