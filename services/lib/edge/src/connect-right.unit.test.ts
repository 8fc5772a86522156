import type { SessionContext } from "@sallyport/proto/policy";
import { DenyReason, Outcome, type Verdict } from "@sallyport/proto/verdict";
import { AppError } from "@sallyport/runtime";
import { afterEach, expect, test, vi } from "vitest";
import { textUnit, testSession, type TestSession } from "../testing/live-session.ts";
import { signedVerdict, testPrincipal } from "../testing/recording-only.ts";
import type { PolicyQuestion } from "./links.ts";
import type { SessionEnd } from "./outcome.ts";

type Answer = Partial<Verdict> | AppError | Promise<Partial<Verdict>>;
let connect: (question: PolicyQuestion) => Answer;
let asked: SessionContext[];
let session: TestSession;
let acking: NodeJS.Timeout;

const REFUSED = { outcome: Outcome.OUTCOME_DENY, reason: DenyReason.DENY_REASON_POLICY, message: "Not you." };
const OVER = { outcome: Outcome.OUTCOME_DENY, reason: DenyReason.DENY_REASON_NOT_APPROVED, message: "Ask again." };
const place = { principalId: "user:engineer", connection: "orders", database: "orders" };
const ended = () => (session.live.signal.aborted ? (session.live.signal.reason as SessionEnd) : undefined);
const apply = () =>
  session.world.say({ $case: "configurationApplied", value: { configuration: undefined, digest: "", changes: [] } });
const withdraw = (approvalId: string, more: object = {}) =>
  session.world.say({
    $case: "approvalWithdrawn",
    value: { approvalId, cause: "", window: { ...place, seconds: 60, untilMs: 1, ...more } },
  });

interface Opening {
  command?: Partial<Verdict>;
  /** from the start: what is lent for milliseconds is over at once on a busy machine */
  answer?: typeof connect;
  fresh?: boolean;
}

/** A session that was let in by `by`; what it is told later, `connect` says. */
async function opened(
  by: { approvalId?: string; expiresAtMs?: number; asOf?: number } = {},
  { command = {}, answer = () => ({}), fresh = true }: Opening = {},
) {
  asked = [];
  connect = answer;
  session = await testSession({
    links: {
      policy: {
        check: async (question) => {
          if (question.command !== undefined) return signedVerdict(question, command);
          asked.push(question.session);
          const said = await connect(question);
          if (said instanceof AppError) throw said;
          return signedVerdict(question, said);
        },
      },
      identity: {
        authenticate: () => Promise.reject(new Error("not here")),
        recheck: async () => ({
          principal: testPrincipal("engineer", { groups: ["fewer"] }),
          asOf: session.world.seq,
          recheckAfterMs: 0,
        }),
      },
    },
  });
  session.live.connectedBy({ asOf: session.world.seq, approvalId: "", expiresAtMs: Infinity, ...by });
  session.world.fresh = fresh;
  // The bus takes everything at once.
  acking = setInterval(() => session.bus.ackAll(), 1);
  await session.live.open(Buffer.alloc(0), undefined);
}
afterEach(async () => {
  await session.live.close();
  clearInterval(acking);
});
const settled = () => vi.waitFor(() => expect(session.live.rereading).toBeUndefined());

test("a session that may stay stays, whatever moves; nobody asks when nothing does", async () => {
  await opened();
  expect(asked).toEqual([]);
  apply();
  await settled();
  expect(asked.length).toBe(1);
  expect(ended()).toBeUndefined();
});

test("nothing is decided before it is known whether the session may stay", async () => {
  await opened();
  let say!: (verdict: Partial<Verdict>) => void;
  connect = () => new Promise((resolve) => (say = resolve));
  apply();
  const decision = session.live.gate.decide(textUnit("SELECT 1"));
  expect(decision).toBeInstanceOf(Promise);
  await vi.waitFor(() => expect(asked.length).toBe(1));
  say(REFUSED);
  expect((await decision).outcome).toBe("deny");
  expect(ended()).toEqual({ cause: "policy", message: "You may not be connected here any more. Not you." });
});

test("groups that changed are put to policy as they are now, though it was being asked just then", async () => {
  await opened();
  const answers: (() => void)[] = [];
  connect = () => new Promise((resolve) => answers.push(() => resolve({})));
  apply();
  session.world.say({
    $case: "principalGroupsChanged",
    value: { principalId: "user:engineer", groups: ["fewer"], providerGroups: [], verifiedAtMs: 0 },
  });
  await vi.waitFor(() => expect(session.live.principal.groups).toEqual(["fewer"]));
  while (session.live.rereading !== undefined) {
    answers.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(asked.at(-1)?.principal?.groups).toEqual(["fewer"]);
});

test("time that people lent ends the session when it is over, and a longer one goes on", async () => {
  const longer = () => ({ approvalId: "w2", cache: { kind: 0 as const, erasable: [], expiresAtMs: Date.now() + 40 } });
  const answer = () => (asked.length === 1 ? longer() : OVER);
  await opened({ approvalId: "w1", expiresAtMs: Date.now() + 40 }, { answer });
  await vi.waitFor(() => expect(ended()?.cause).toBe("expired"));
  expect(ended()?.message).toMatch(/^Your time on this connection is over\./);
  expect(asked.length).toBeGreaterThan(0);
});

test.each([
  ["policy does not answer", { answer: () => new AppError("unavailable", "test", "away") }],
  ["there is no lease", { fresh: false }],
  [
    "policy's clock is behind",
    { answer: () => ({ approvalId: "w1", cache: { kind: 0 as const, erasable: [], expiresAtMs: 1 } }) },
  ],
])("over is over though %s", async (_, opening: Opening) => {
  const until = Date.now() + 40;
  await opened({ approvalId: "w1", expiresAtMs: until }, opening);
  await vi.waitFor(() => expect(ended()?.cause).toBe("expired"), 3_000);
});

test("what follows the clock goes on when policy is away, and nothing is admitted meanwhile", async () => {
  await opened({ expiresAtMs: Date.now() + 1 }, { answer: () => new AppError("unavailable", "test", "away") });
  await vi.waitFor(() => expect(asked.length).toBeGreaterThan(1), 5_000);
  expect((await session.live.gate.decide(textUnit("SELECT 1"))).outcome).toBe("deny");
  expect(ended()).toBeUndefined();
  connect = () => ({});
  await settled();
  expect((await session.live.gate.decide(textUnit("SELECT 1"))).outcome).toBe("forward");
});

test("what moved between the login's decision and its opening counts", async () => {
  await opened({ asOf: 1 });
  expect(asked.length).toBe(1);
});

test("access that is taken back is asked about, that of others is not", async () => {
  await opened({ approvalId: "w1", expiresAtMs: Date.now() + 60_000 });
  withdraw("w9", { principalId: "user:dba" });
  withdraw("w9", { connection: "sandbox" });
  withdraw("w9", { database: "other" });
  expect(asked).toEqual([]);
  connect = () => OVER;
  withdraw("w1");
  await vi.waitFor(() => expect(ended()?.cause).toBe("expired"));
});

test("a command that runs by access which is taken back ends with its session; one that does not goes on", async () => {
  await opened({}, { command: { approvalId: "g1" } });
  const decision = await session.live.gate.decide(textUnit("DELETE FROM t"));
  if (decision.outcome !== "forward") throw new Error(decision.outcome);
  expect(decision.approvalId).toBe("g1");
  await new Promise((resolve) => session.live.gate.admit(decision, resolve));
  withdraw("g2");
  await settled();
  expect(ended()).toBeUndefined();
  withdraw("g1");
  expect(ended()?.cause).toBe("expired");
});
