import { expect, onTestFinished, test } from "vitest";
import { ApprovalStatus, type ApprovalState } from "@sallyport/proto/approval";
import { CommandCompleted_Status } from "@sallyport/proto/record";
import { DenyReason, Outcome } from "@sallyport/proto/verdict";
import { AppError } from "@sallyport/runtime";
import { signedVerdict } from "../testing/recording-only.ts";
import { testSession, textUnit, type TestSession, type TestSettings } from "../testing/live-session.ts";
import type { ApprovalLink, PolicyQuestion } from "./links.ts";
import type { Decision, Forward, Hold, SessionEnd } from "./outcome.ts";

type Verdicts = (question: PolicyQuestion, asked: number) => Parameters<typeof signedVerdict>[1];

/** A session whose policy answers as the test says. */
async function gated(
  verdicts: Verdicts = () => ({}),
  settings: TestSettings = {},
): Promise<TestSession & { questions: PolicyQuestion[] }> {
  const questions: PolicyQuestion[] = [];
  const policy = {
    async check(question: PolicyQuestion) {
      questions.push(question);
      return signedVerdict(question, verdicts(question, questions.length));
    },
  };
  const made = await testSession({ ...settings, links: { policy, ...settings.links } });
  onTestFinished(() => made.lane.close());
  return { ...made, questions };
}

const hold = {
  outcome: Outcome.OUTCOME_HOLD,
  holds: [{ policyId: "h", group: "dba", quorum: 1, withinSeconds: 60, message: "ask" }],
};

test("a command is forwarded only with the acknowledgement of it and its verdict", async () => {
  const { live, bus, turn } = await gated();
  const decision = (await live.gate.decide(textUnit("select 1"))) as Forward;
  expect(decision).toMatchObject({ outcome: "forward", command: 1 });
  const outcomes: string[] = [];
  live.gate.admit(decision, ({ outcome }) => outcomes.push(outcome));
  await turn();
  expect(bus.kinds()).toEqual(["verdictReached", "commandAdmitted"]);
  expect(outcomes).toEqual([]);
  bus.ackAll();
  expect(outcomes).toEqual(["forward"]);
  await expect.poll(() => bus.kinds()).toEqual(["verdictReached", "commandAdmitted", "commandForwarded"]);
});

test("the second time neither policy nor the log is asked for the verdict again", async () => {
  const { live, bus, questions, turn } = await gated();
  bus.automatic = true;
  const first = (await live.gate.decide(textUnit("select 1"))) as Forward;
  live.gate.admit(first, () => {});
  await turn();
  const second = live.gate.decide(textUnit("select 1"));
  expect(second).not.toBeInstanceOf(Promise);
  live.gate.admit(second as Forward, () => {});
  await turn();
  expect(questions).toHaveLength(1);
  expect(bus.kinds().filter((kind) => kind === "verdictReached")).toHaveLength(1);
  expect(bus.kinds().filter((kind) => kind === "commandAdmitted")).toHaveLength(2);
});

test("a result reaches the client only with its acknowledgement, in order", async () => {
  const { live, bus, turn, received } = await gated();
  live.gate.release(1, Buffer.from("row"));
  live.gate.release(1, Buffer.from("done"));
  let after = false;
  live.gate.afterRelease(() => (after = true));
  await turn();
  expect(received()).toBe("");
  expect(after).toBe(false);
  bus.ackAll();
  await expect.poll(received).toBe("rowdone");
  expect(after).toBe(true);
});

test("a big frame is recorded in parts and arrives whole", async () => {
  const { live, bus, turn, sink } = await gated();
  bus.automatic = true;
  const got: Buffer[] = [];
  sink.on("data", (data: Buffer) => got.push(data));
  const bytes = Buffer.alloc(300_000, "0123456789");
  live.gate.release(1, bytes);
  await expect.poll(() => Buffer.concat(got).length).toBe(bytes.length);
  await turn();
  expect(Buffer.concat(got).equals(bytes)).toBe(true);
  expect(bus.kinds()).toEqual(["frameToClient", "frameToClient", "frameToClient", "frameToClient", "frameToClient"]);
});

test("without a lease nothing is admitted: the decision waits, then it is a denial", async () => {
  const { live, world } = await gated();
  world.fresh = false;
  const begun = performance.now();
  const decision = await live.gate.decide(textUnit("select 1"));
  expect(decision).toMatchObject({ outcome: "deny", kind: "unavailable" });
  expect(performance.now() - begun).toBeLessThan(1500);
});

test("a lease that ends between decision and acknowledgement holds the command back", async () => {
  const { live, bus, world, turn, questions } = await gated();
  const decision = (await live.gate.decide(textUnit("select 1"))) as Forward;
  const outcomes: Decision[] = [];
  live.gate.admit(decision, (outcome) => outcomes.push(outcome));
  await turn();
  world.fresh = false;
  bus.ackAll();
  await turn();
  expect(outcomes).toEqual([]);
  world.fresh = true;
  bus.automatic = true;
  await expect.poll(() => outcomes.map(({ outcome }) => outcome)).toEqual(["forward"]);
  expect(questions).toHaveLength(2);
  // decided again, and that is on record
  expect(bus.kinds().filter((kind) => kind === "commandAdmitted")).toHaveLength(2);
});

test("an epoch that moves between decision and acknowledgement decides again, and that answer counts", async () => {
  const deny = { outcome: Outcome.OUTCOME_DENY, reason: DenyReason.DENY_REASON_POLICY, message: "no more" };
  const { live, bus, world, turn, questions } = await gated((_, asked) => (asked === 1 ? {} : deny));
  const decision = (await live.gate.decide(textUnit("select 1"))) as Forward;
  const outcomes: Decision[] = [];
  live.gate.admit(decision, (outcome) => outcomes.push(outcome));
  await turn();
  const seq = world.say({
    $case: "configurationApplied",
    value: { configuration: undefined, digest: "", changes: [] },
  });
  bus.ackAll();
  await expect.poll(() => outcomes).toMatchObject([{ outcome: "deny", kind: "policy", message: "no more" }]);
  expect(questions[1]?.minAsOf).toBe(seq);
  expect(bus.kinds()).not.toContain("commandForwarded");
});

test("those behind a command that is decided again wait for it", async () => {
  const { live, bus, world, turn } = await gated();
  const order: number[] = [];
  const one = (await live.gate.decide(textUnit("select 1"))) as Forward;
  const two = (await live.gate.decide(textUnit("select 2"))) as Forward;
  live.gate.admit(one, ({ command }) => order.push(command));
  live.gate.admit(two, ({ command }) => order.push(command));
  await turn();
  world.fresh = false;
  bus.ackAll();
  world.fresh = true;
  bus.automatic = true;
  await expect.poll(() => order).toEqual([1, 2]);
});

test("an observed schema of another database moves nothing", async () => {
  const { live, world, questions } = await gated();
  await live.gate.decide(textUnit("select 1"));
  const schema = { schema: undefined, digest: "", edge: "" };
  world.say({ $case: "schemaObserved", value: { connection: "orders", database: "other", ...schema } });
  expect(live.gate.decide(textUnit("select 1"))).not.toBeInstanceOf(Promise);
  world.say({ $case: "schemaObserved", value: { connection: "orders", database: "orders", ...schema } });
  await live.gate.decide(textUnit("select 1"));
  expect(questions).toHaveLength(2);
});

test("a changed context drops the cache, and a command that was decided under the old one is decided again", async () => {
  const { live, bus, questions, turn } = await gated();
  bus.automatic = true;
  const context = { searchPath: ["public"], role: "app", settings: {}, named: [], schemaTouched: false };
  live.gate.setContext(context);
  const decision = (await live.gate.decide(textUnit("select 1"))) as Forward;
  live.gate.setContext({ ...context });
  expect(live.gate.decide(textUnit("select 1"))).not.toBeInstanceOf(Promise);
  live.gate.setContext({ ...context, searchPath: ["private"] });
  let forwarded = false;
  live.gate.admit(decision, () => (forwarded = true));
  await expect.poll(() => forwarded).toBe(true);
  await turn();
  expect(questions.map((question) => question.command?.searchPath)).toEqual([["public"], ["private"]]);
});

test("policy that cannot be reached, breaks off, or answers nonsense is a denial", async () => {
  for (const failure of [
    new AppError("deadline", "policy.check", "no answer in time"),
    new Error("a bug"),
    new AppError("exhausted", "policy.check", "too many"),
  ]) {
    const { live } = await gated(() => {
      throw failure;
    });
    expect(await live.gate.decide(textUnit("select 1"))).toMatchObject({ outcome: "deny", kind: "unavailable" });
  }
  const { live } = await gated(() => ({ facts: undefined }));
  expect(await live.gate.decide(textUnit("select 1"))).toMatchObject({ outcome: "deny", kind: "unavailable" });
});

test("a stream that broke is asked again: a check has no effect", async () => {
  const { live, questions } = await gated((_, asked) => {
    if (asked === 1) throw new AppError("unavailable", "policy.check", "broke off");
    return {};
  });
  expect(await live.gate.decide(textUnit("select 1"))).toMatchObject({ outcome: "forward" });
  expect(questions).toHaveLength(2);
});

test("a denial is recorded before the client is told", async () => {
  const { live, bus, turn, received } = await gated(() => ({ outcome: Outcome.OUTCOME_DENY, message: "no" }));
  const decision = await live.gate.decide(textUnit("drop table customers"));
  if (decision.outcome !== "deny") throw new Error(decision.outcome);
  live.gate.deny(decision, "42501");
  live.gate.release(decision.command, Buffer.from("ERROR"));
  await turn();
  expect(received()).toBe("");
  bus.ackAll();
  expect(received()).toBe("ERROR");
  const denied = bus.records().find(({ kind }) => kind === "commandDenied")?.body.fact;
  expect(denied?.value).toMatchObject({ command: 1, code: "42501", message: "no", text: "drop table customers" });
});

test("what is abandoned is cancelled once and never forwarded; those around it go on", async () => {
  const { live, bus, turn } = await gated();
  const outcomes: number[] = [];
  for (const text of ["a", "b", "c", "d"]) {
    const decision = (await live.gate.decide(textUnit(text))) as Forward;
    live.gate.admit(decision, ({ command }) => {
      outcomes.push(command);
      if (command === 1) live.gate.abandon([1, 2, 4]);
    });
  }
  live.gate.abandon([2]);
  await turn();
  bus.ackAll();
  bus.automatic = true;
  await expect.poll(() => outcomes).toEqual([1, 3]);
  await turn();
  const commands = (kind: string): number[] =>
    bus
      .records()
      .flatMap(({ body }) =>
        body.fact?.$case === kind && "command" in body.fact.value ? [body.fact.value.command] : [],
      );
  await expect.poll(() => commands("commandForwarded")).toEqual([1, 3]);
  expect(commands("commandCompleted")).toEqual([2, 4]);
});

test("what is abandoned while it is decided again is not forwarded either", async () => {
  const { live, bus, world, turn } = await gated();
  bus.automatic = true;
  const decision = (await live.gate.decide(textUnit("a"))) as Forward;
  const next = (await live.gate.decide(textUnit("b"))) as Forward;
  const outcomes: number[] = [];
  live.gate.admit(decision, ({ command }) => outcomes.push(command));
  live.gate.admit(next, ({ command }) => outcomes.push(command));
  world.fresh = false;
  await turn();
  live.gate.abandon([decision.command]);
  world.fresh = true;
  await expect.poll(() => outcomes).toEqual([next.command]);
});

test("a command that is too long is refused, and one that is too long for a record is recorded in parts", async () => {
  const { live, bus, turn } = await gated(() => ({}), { limits: { textBytes: 200_000 } });
  bus.automatic = true;
  const refused = await live.gate.decide(textUnit("x".repeat(200_001)));
  expect(refused).toMatchObject({ outcome: "deny", reason: DenyReason.DENY_REASON_NOT_UNDERSTOOD });
  const text = `select '${"ü".repeat(90_000)}'`;
  const value = Buffer.alloc(100_000, 7);
  const parameters = [
    { typeOid: 17, binary: true, value },
    { typeOid: 0, binary: false, value: undefined },
  ];
  const decision = (await live.gate.decide({ ...textUnit(text), parameters })) as Forward;
  let forwarded = false;
  live.gate.admit(decision, () => (forwarded = true));
  await expect.poll(() => forwarded).toBe(true);
  await turn();
  const records = bus.records();
  const parts = records.flatMap(({ body }) => (body.fact?.$case === "frameFromClient" ? [body.fact.value.data] : []));
  expect(Buffer.concat(parts).equals(Buffer.concat([Buffer.from(text), value]))).toBe(true);
  const fact = records.find(({ kind }) => kind === "commandAdmitted")?.body.fact;
  if (fact?.$case !== "commandAdmitted") throw new Error("no commandAdmitted");
  expect(fact.value).toMatchObject({
    textLength: Buffer.byteLength(text),
    parameters: [],
    parameterLengths: [100_000, 0],
  });
  expect(text.startsWith(fact.value.text)).toBe(true);
  expect(fact.value.text.length).toBeGreaterThan(5000);
});

test("a client that does not read is pressed at its bound, and gets everything when it reads", async () => {
  const { live, bus, sink, turn } = await gated(() => ({}), { lane: { sessionBytes: 256 * 1024 } });
  bus.automatic = true;
  let sent = 0;
  let room = true;
  const data = Buffer.alloc(32 * 1024, "x");
  for (let i = 0; i < 100 && room; i++) {
    room = live.gate.release(1, data);
    sent += data.length;
    await turn();
  }
  expect(room).toBe(false);
  expect(live.gate.pressed).toBe(true);
  expect(sent).toBeLessThan(512 * 1024);
  let drained = 0;
  live.gate.onDrain = () => drained++;
  let got = 0;
  sink.on("data", (chunk: Buffer) => (got += chunk.length));
  await expect.poll(() => got).toBe(sent);
  expect(drained).toBe(1);
  expect(live.gate.pressed).toBe(false);
});

test("bytes of a running command go to the target only with their acknowledgement", async () => {
  const { live, bus, turn } = await gated();
  let forwarded = 0;
  live.gate.fromClient(1, Buffer.alloc(100_000), () => forwarded++);
  await turn();
  expect(forwarded).toBe(0);
  bus.ackAll();
  expect(forwarded).toBe(1);
  expect(bus.kinds()).toEqual(["frameFromClient", "frameFromClient"]);
});

// ---- approval

function approvals(
  states: ApprovalStatus[],
  change: Partial<ApprovalLink> = {},
): ApprovalLink & { withdrawn: string[]; used: number } {
  const link = {
    withdrawn: [] as string[],
    used: 0,
    request: async () => ({ approvalId: "a-1", expiresAtMs: Date.now() + 60_000 }),
    async *await(_id: string, signal: AbortSignal) {
      while (states.length > 0) {
        const status = states[0] as ApprovalStatus;
        if (status === ApprovalStatus.APPROVAL_STATUS_UNSPECIFIED)
          throw new AppError("unavailable", "approval.await", "break");
        states.shift();
        yield { status, deniedBy: "user:dba", reason: "not today" } as ApprovalState;
      }
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
    },
    async use() {
      link.used++;
      return { asOf: 42 };
    },
    async withdraw(_id: string, cause: string) {
      link.withdrawn.push(cause);
    },
    ...change,
  };
  return link;
}

const pending = ApprovalStatus.APPROVAL_STATUS_PENDING;
const byApproval: Verdicts = (question) => (question.command?.approvalId === "" ? hold : { cache: undefined });

test("a held command runs once people have granted it: used, decided again with the grant, recorded", async () => {
  const approval = approvals([pending, ApprovalStatus.APPROVAL_STATUS_GRANTED]);
  const { live, bus, turn, questions } = await gated(byApproval, { links: { approval } });
  bus.automatic = true;
  const decision = (await live.gate.decide(textUnit("delete from orders where id = 1"))) as Hold;
  expect(decision.outcome).toBe("hold");
  const held = await live.gate.hold(decision);
  if (held.outcome !== "held") throw new Error(held.outcome);
  const after = await live.gate.awaitGrant(held);
  expect(after).toMatchObject({ outcome: "forward", approvalId: "a-1", command: decision.command });
  expect(approval.used).toBe(1);
  expect(questions[1]?.command).toMatchObject({ approvalId: "a-1", digest: held.digest });
  expect(questions[1]?.minAsOf).toBe(42);
  let forwarded = false;
  live.gate.admit(after as Forward, () => (forwarded = true));
  await expect.poll(() => forwarded).toBe(true);
  await turn();
  const kinds = bus.kinds();
  expect(kinds.indexOf("commandHeld")).toBeLessThan(kinds.indexOf("commandAdmitted"));
  const admitted = bus.records().find(({ kind }) => kind === "commandAdmitted")?.body.fact;
  expect(admitted?.value).toMatchObject({ approvalId: "a-1" });
  // the grant is used up: the same text is held again
  expect((await live.gate.decide(textUnit("delete from orders where id = 1"))).outcome).toBe("hold");
});

test("a break of the approval stream is waited out", async () => {
  const states: ApprovalStatus[] = [ApprovalStatus.APPROVAL_STATUS_UNSPECIFIED];
  const approval = approvals(states);
  const { live } = await gated(byApproval, { links: { approval } });
  const held = await live.gate.hold((await live.gate.decide(textUnit("x"))) as Hold);
  if (held.outcome !== "held") throw new Error(held.outcome);
  const after = live.gate.awaitGrant(held);
  states.splice(0, 1, ApprovalStatus.APPROVAL_STATUS_GRANTED);
  expect(await after).toMatchObject({ outcome: "forward" });
});

test("a refusal by a person names them; a cancel withdraws the request; expiry is told", async () => {
  const cases: [ApprovalStatus[], string, string][] = [
    [[ApprovalStatus.APPROVAL_STATUS_DENIED], "not-approved", "user:dba did not approve this command: not today"],
    [[ApprovalStatus.APPROVAL_STATUS_EXPIRED], "not-approved", "Nobody approved this command in time."],
    [[pending], "cancelled", "The command was cancelled while it waited for approval."],
  ];
  for (const [states, kind, message] of cases) {
    const approval = approvals(states);
    const { live } = await gated(byApproval, { links: { approval } });
    const held = await live.gate.hold((await live.gate.decide(textUnit("x"))) as Hold);
    if (held.outcome !== "held") throw new Error(held.outcome);
    const cancel = new AbortController();
    const after = live.gate.awaitGrant(held, cancel.signal);
    if (kind === "cancelled") cancel.abort();
    expect(await after).toMatchObject({ outcome: "deny", kind, message, approvalId: "a-1" });
    expect(approval.withdrawn).toEqual(kind === "cancelled" ? ["cancelled by the client"] : []);
    expect(approval.used).toBe(0);
  }
});

test("a grant that cannot be used, or that policy no longer honours, forwards nothing", async () => {
  const granted = (): ApprovalStatus[] => [ApprovalStatus.APPROVAL_STATUS_GRANTED];
  const use = (code: "failed-precondition" | "unavailable") => async (): Promise<never> => {
    throw new AppError(code, "approval.use", "used already");
  };
  for (const [approval, verdicts, kind] of [
    [approvals(granted(), { use: use("failed-precondition") }), byApproval, "not-approved"],
    [approvals(granted(), { use: use("unavailable") }), byApproval, "unavailable"],
    [approvals(granted()), () => hold, "policy"],
  ] as const) {
    const { live } = await gated(verdicts, { links: { approval } });
    const held = await live.gate.hold((await live.gate.decide(textUnit("x"))) as Hold);
    if (held.outcome !== "held") throw new Error(held.outcome);
    expect(await live.gate.awaitGrant(held)).toMatchObject({ outcome: "deny", kind });
  }
});

test("a cancel while the grant is used, or decided with, forwards nothing", async () => {
  for (const when of ["granted", "used", "decided"]) {
    const cancel = new AbortController();
    const approval = approvals([], {
      async *await() {
        if (when === "granted") cancel.abort();
        yield { status: ApprovalStatus.APPROVAL_STATUS_GRANTED } as ApprovalState;
      },
      async use() {
        approval.used++;
        if (when === "used") cancel.abort();
        return { asOf: 42 };
      },
    });
    const { live, questions } = await gated(
      (question) => {
        if (question.command?.approvalId !== "" && when === "decided") cancel.abort();
        return byApproval(question, 0);
      },
      { links: { approval } },
    );
    const held = await live.gate.hold((await live.gate.decide(textUnit("x"))) as Hold);
    if (held.outcome !== "held") throw new Error(held.outcome);
    expect(await live.gate.awaitGrant(held, cancel.signal)).toMatchObject({ outcome: "deny", kind: "cancelled" });
    // a grant that came too late is given back, one that was used is used up
    expect([approval.used, approval.withdrawn.length]).toEqual(when === "granted" ? [0, 1] : [1, 0]);
    expect(questions).toHaveLength(when === "decided" ? 2 : 1);
  }
});

test("approval that cannot be asked for is a denial", async () => {
  const approval = approvals([], {
    async request() {
      throw new AppError("unavailable", "approval.request", "nobody there");
    },
  });
  const { live } = await gated(byApproval, { links: { approval } });
  const held = await live.gate.hold((await live.gate.decide(textUnit("x"))) as Hold);
  expect(held).toMatchObject({ outcome: "deny", kind: "unavailable" });
});

// ---- the end

test("an ended session admits nothing; what was open is on record as unknown, what waited as cancelled", async () => {
  const { live, bus, turn } = await gated();
  bus.automatic = true;
  const one = (await live.gate.decide(textUnit("a"))) as Forward;
  live.gate.admit(one, () => {});
  await expect.poll(() => bus.kinds()).toContain("commandForwarded");
  bus.automatic = false;
  const two = (await live.gate.decide(textUnit("b"))) as Forward;
  let forwarded = false;
  live.gate.admit(two, () => (forwarded = true));
  await turn();
  live.end("revoked", "withdrawn");
  live.end("client", "");
  expect((live.signal.reason as SessionEnd).cause).toBe("revoked");
  bus.automatic = true;
  const closed = live.close();
  bus.ackAll();
  await closed;
  expect(forwarded).toBe(false);
  const completed = bus
    .records()
    .flatMap(({ body }) => (body.fact?.$case === "commandCompleted" ? [body.fact.value] : []));
  expect(completed.map(({ command, status }) => [command, status])).toEqual([
    [2, CommandCompleted_Status.STATUS_CANCELLED],
    [1, CommandCompleted_Status.STATUS_UNKNOWN],
  ]);
  const last = bus.records().at(-1)?.body.fact;
  expect(last).toMatchObject({ $case: "sessionClosed", value: { cause: 3, error: "withdrawn", commands: 2 } });
});

test("when the bus makes no progress the session ends, nothing that waits is released, and the last words go out", async () => {
  const { live, received } = await gated(() => ({}), { lane: { ackTimeoutMs: 20, giveUpMs: 80 } });
  const ended = new Promise((resolve) => live.signal.addEventListener("abort", resolve));
  live.gate.release(1, Buffer.from("secret"));
  await ended;
  expect((live.signal.reason as SessionEnd).cause).toBe("bus");
  live.lastWords(Buffer.from("FATAL"));
  expect(received()).toBe("FATAL");
  await live.close();
});

test("a fault in the protocol's callback ends that session only", async () => {
  const { live, bus, turn } = await gated();
  const decision = (await live.gate.decide(textUnit("a"))) as Forward;
  live.gate.admit(decision, () => {
    throw new Error("a bug");
  });
  await turn();
  bus.ackAll();
  expect((live.signal.reason as SessionEnd).cause).toBe("internal");
});
