import { CacheScope_Kind, CommandFacts, RowLimit, RowLimit_Per } from "@sallyport/proto/verdict";
import type { Verdict } from "@sallyport/proto/verdict";
import { expect, onTestFinished, test } from "vitest";
import { textUnit, testSession, type TestSession } from "../testing/live-session.ts";
import { signedVerdict } from "../testing/recording-only.ts";
import type { PolicyQuestion } from "./links.ts";
import type { Forward } from "./outcome.ts";

/** Verdicts that depend on what the session has counted are not used beyond a change of that. */
const facts = (change: Partial<CommandFacts> = {}): CommandFacts =>
  CommandFacts.fromPartial({ actions: ["read"], hasWhere: true, statementCount: 1, ...change });

async function deciding(verdict: Partial<Verdict>): Promise<TestSession & { questions: PolicyQuestion[] }> {
  const questions: PolicyQuestion[] = [];
  const policy = {
    check: async (question: PolicyQuestion) => {
      questions.push(question);
      const probing = question.command?.text.includes("probe") === true;
      return signedVerdict(question, { facts: facts(probing ? { probedClasses: ["email"] } : {}), ...verdict });
    },
  };
  const made = await testSession({ links: { policy } });
  onTestFinished(() => made.lane.close());
  return { ...made, questions };
}

const counting = { cache: { kind: CacheScope_Kind.KIND_EXACT, erasable: [], expiresAtMs: 0, countsProbes: true } };

const decide = async ({ live }: TestSession, text: string, unit = {}): Promise<Forward> =>
  (await live.gate.decide({ ...textUnit(text), ...unit })) as Forward;
const probesAsked = ({ questions }: { questions: PolicyQuestion[] }): (number | undefined)[] =>
  questions.map(({ session }) => session.counts?.probes);

test("probing commands are counted when they are decided, and what is kept is of before", async () => {
  const session = await deciding(counting);
  await decide(session, "SELECT 1");
  await decide(session, "SELECT 1");
  expect(probesAsked(session)).toEqual([0]);
  await decide(session, "probe 1");
  // its own verdict is of before, too
  await decide(session, "probe 1");
  await decide(session, "SELECT 1");
  await decide(session, "SELECT 1");
  expect(probesAsked(session)).toEqual([0, 0, 1, 2]);
});

test("verdicts that do not depend on probes are kept", async () => {
  const session = await deciding({});
  await decide(session, "probe 1");
  await decide(session, "SELECT 1");
  await decide(session, "probe 1");
  await decide(session, "SELECT 1");
  expect(probesAsked(session)).toEqual([0, 1]);
  expect(session.live.context().counts).toMatchObject({ probes: 2 });
});

test("a statement that is only prepared probes nothing", async () => {
  const session = await deciding({});
  await decide(session, "probe 1", { unit: "parse", runsNothing: true });
  await decide(session, "SELECT 1");
  expect(probesAsked(session)).toEqual([0, 0]);
});

test("a command that is decided again is not one more", async () => {
  const session = await deciding({});
  const first = await decide(session, "probe 1");
  const again = await session.live.gate.again(first);
  expect(again.outcome).toBe("forward");
  expect(probesAsked(session)).toEqual([0, 0]);
  await decide(session, "SELECT 1");
  expect(probesAsked(session)).toEqual([0, 0, 1]);
});

test("a limit that people can lift is asked about anew once it is used up; what is left is not", async () => {
  const limit = RowLimit.fromPartial({ policyId: "p", maxRows: 10, per: RowLimit_Per.PER_SESSION, holds: true });
  const session = await deciding({ limits: [limit] });
  const { verdict } = await decide(session, "SELECT 1");
  session.live.meter(verdict).take(9);
  await decide(session, "SELECT 1");
  expect(session.questions).toHaveLength(1);
  session.live.meter(verdict).take(9);
  await decide(session, "SELECT 1");
  expect(session.questions).toHaveLength(2);
  expect(session.questions[1]?.session.counts).toMatchObject({
    rows: 10,
    rowsHour: 10,
    limits: [{ policyId: "p", session: 10, hour: 0 }],
  });
});
