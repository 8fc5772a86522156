import { expect, onTestFinished, test } from "vitest";
import { ApprovalStatus, type ApprovalState, type RequestApprovalRequest } from "@sallyport/proto/approval";
import { CommandFacts, Outcome, type ExecutedStatement } from "@sallyport/proto/verdict";
import { signedVerdict } from "../testing/recording-only.ts";
import { testSession } from "../testing/live-session.ts";
import { READABLE_BYTES } from "./held-command.ts";
import type { ApprovalLink, PolicyQuestion } from "./links.ts";
import type { Hold } from "./outcome.ts";
import type { AdmissionUnit } from "./unit.ts";

const wipe = (text: string): ExecutedStatement => ({ kind: 1, name: "wipe", text, normalized: "" });
const unit: AdmissionUnit = {
  unit: "portal",
  text: Buffer.from("EXECUTE wipe($1)"),
  parameters: [{ typeOid: 25, binary: false, value: Buffer.from("ada") }],
};

/** A session whose commands are held, and granted at once. `executes` is what policy finds the n-th time. */
async function held(executes: (asked: number) => ExecutedStatement[]) {
  const asked: RequestApprovalRequest[] = [];
  let questions = 0;
  const approval: ApprovalLink = {
    request: async (request) => {
      asked.push(request);
      return { approvalId: "a-1", expiresAtMs: Date.now() + 60_000 };
    },
    async *await() {
      yield { status: ApprovalStatus.APPROVAL_STATUS_GRANTED } as ApprovalState;
    },
    use: async () => ({ asOf: 42 }),
    withdraw: async () => {},
  };
  const policy = {
    check: async (question: PolicyQuestion) => {
      const facts = CommandFacts.fromPartial({ actions: ["write"], executes: executes(++questions) });
      if (question.command?.approvalId !== "") return signedVerdict(question, { facts, cache: undefined });
      const holds = [{ policyId: "h", group: "dba", quorum: 1, withinSeconds: 60, message: "ask" }];
      return signedVerdict(question, { facts, outcome: Outcome.OUTCOME_HOLD, holds });
    },
  };
  const made = await testSession({ links: { policy, approval } });
  onTestFinished(() => made.lane.close());
  return { ...made, asked };
}

test("an approver is asked with all that the command does", async () => {
  const { live, asked } = await held(() => [wipe("DELETE FROM a")]);
  const answer = await live.gate.hold((await live.gate.decide(unit)) as Hold);
  expect(answer.outcome).toBe("held");
  expect(asked).toMatchObject([
    {
      text: "EXECUTE wipe($1)",
      shown: {
        textLength: 16,
        parameterCount: 1,
        parameters: [{ typeOid: 25, value: "ada", length: 3, cut: false }],
        executes: [{ name: "wipe", text: "DELETE FROM a" }],
      },
    },
  ]);
});

test("a grant is for what the names meant: the same is forwarded, another is refused", async () => {
  for (const [later, outcome] of [
    ["DELETE FROM a", "forward"],
    ["DELETE FROM b", "deny"],
  ] as const) {
    const { live } = await held((asked) => [wipe(asked === 1 ? "DELETE FROM a" : later)]);
    const answer = await live.gate.hold((await live.gate.decide(unit)) as Hold);
    if (answer.outcome !== "held") throw new Error(answer.message);
    const decided = await live.gate.awaitGrant(answer);
    expect(decided.outcome).toBe(outcome);
    if (decided.outcome === "deny") expect(decided).toMatchObject({ kind: "not-approved", approvalId: "a-1" });
  }
});

test("a grant is for the session's state: another search path meanwhile, and it is refused", async () => {
  const { live } = await held(() => []);
  const answer = await live.gate.hold((await live.gate.decide(unit)) as Hold);
  if (answer.outcome !== "held") throw new Error(answer.message);
  live.gate.setContext({ searchPath: ["evil"], role: "", settings: {}, named: [], schemaTouched: false });
  expect(await live.gate.awaitGrant(answer)).toMatchObject({ outcome: "deny", kind: "not-approved" });
});

test("nobody is asked to approve what is too long to read", async () => {
  const { live, asked } = await held(() => [wipe("x".repeat(READABLE_BYTES))]);
  const answer = await live.gate.hold((await live.gate.decide(unit)) as Hold);
  expect(answer).toMatchObject({
    outcome: "deny",
    kind: "not-approved",
    message: expect.stringContaining("too long for a person to read"),
  });
  expect(asked).toEqual([]);
});
