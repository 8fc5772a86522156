import type { RecordCopiesRequest } from "@sallyport/proto/catalog";
import { CommandFacts, Outcome } from "@sallyport/proto/verdict";
import { AppError } from "@sallyport/runtime";
import { expect, onTestFinished, test } from "vitest";
import { testSession, textUnit } from "../testing/live-session.ts";
import { recordingOnlyLinks, signedVerdict } from "../testing/recording-only.ts";
import { copiesOf } from "./copies.ts";
import type { PolicyQuestion } from "./links.ts";
import type { KnownVerdict } from "./outcome.ts";

const EMAIL = { relationOid: 1, number: 3, relation: "public.people", name: "email" };
const INTO_REPORT = { schema: "public", relation: "report", column: "mail", sources: [EMAIL], exact: true };

function verdictWith(...flows: object[]): KnownVerdict {
  const facts = CommandFacts.fromPartial({ flows });
  return { id: "v", asOf: 0, facts, hiddenClasses: ["email", "phone"], message: "", limits: [] };
}

const asked: number[] = [];
async function deciding(recordCopies: (request: RecordCopiesRequest) => Promise<{ asOf: number }>, outcome: Outcome) {
  asked.length = 0;
  const facts = CommandFacts.fromPartial({ actions: ["write"], flows: [INTO_REPORT] });
  const catalog = { ...recordingOnlyLinks(new Map()).catalog, recordCopies };
  const policy = {
    async check(question: PolicyQuestion) {
      asked.push(question.minAsOf);
      return signedVerdict(question, { facts, outcome });
    },
  };
  const made = await testSession({ links: { policy, catalog } });
  onTestFinished(() => made.lane.close());
  return made.live.gate.decide(textUnit("insert into report select email from people"));
}

test("what is copied into other tables is told, with its source and the manner", () => {
  expect(copiesOf(verdictWith(INTO_REPORT, { ...INTO_REPORT, column: "n", exact: false }))).toEqual([
    {
      schema: "public",
      relation: "report",
      relationOid: 0,
      column: "mail",
      sourceOid: 1,
      sourceNumber: 3,
      exact: true,
      class: "",
    },
    expect.objectContaining({ column: "n", exact: false }),
  ]);
});

test("what cannot be followed may be anything that is hidden; a temporary table is the session's own", () => {
  const flow = { ...INTO_REPORT, sources: [], unknown: "a user's function" };
  expect(copiesOf(verdictWith(flow)).map((copy) => [copy.column, copy.sourceOid, copy.class, copy.exact])).toEqual([
    ["mail", 0, "email", false],
    ["mail", 0, "phone", false],
  ]);
  expect(copiesOf(verdictWith({ ...flow, temporary: true }))).toEqual([]);
});

test("a command that copies is decided only when the copy is on record", async () => {
  const told: RecordCopiesRequest[] = [];
  const record = async (request: RecordCopiesRequest) => {
    told.push(request);
    return { asOf: 70 };
  };
  expect(await deciding(record, Outcome.OUTCOME_FORWARD)).toMatchObject({ outcome: "forward" });
  const columns = told.flatMap(({ copies }) => copies.map(({ relation, column }) => `${relation}.${column}`));
  expect(new Set(columns)).toEqual(new Set(["report.mail"]));
  // and again by rules that know the copy
  expect(asked).toEqual([10, 70]);
});

test("a copy that cannot be recorded is not made; what is refused anyway is not told of", async () => {
  const full = async (): Promise<never> => {
    throw new AppError("exhausted", "catalog.recordCopies", "too many copies are on record");
  };
  expect(await deciding(full, Outcome.OUTCOME_FORWARD)).toMatchObject({
    outcome: "deny",
    message: expect.stringContaining("too many copies are on record"),
  });
  expect(await deciding(full, Outcome.OUTCOME_DENY)).toMatchObject({ outcome: "deny", kind: "policy" });
});
