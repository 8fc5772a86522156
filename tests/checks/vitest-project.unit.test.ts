import { expect, test } from "vitest";
import { type Report, tallyOf } from "./vitest-project.ts";

const report = (over: Partial<Report>): Report => ({
  numTotalTests: 2,
  numPassedTests: 2,
  numFailedTests: 0,
  numPendingTests: 0,
  numTodoTests: 0,
  testResults: [],
  ...over,
});

test("counts what passed and failed", () => {
  expect(tallyOf(report({}), 0)).toEqual({ passed: 2, failed: 0, skipped: 0, problems: [] });
  const failed = report({ numPassedTests: 1, numFailedTests: 1 });
  expect(tallyOf(failed, 1)).toEqual({ passed: 1, failed: 1, skipped: 0, problems: [] });
});

test("a file that does not load is a failure", () => {
  const file = { name: "a.test.ts", status: "failed", message: "Cannot find module\nat …", assertionResults: [] };
  expect(tallyOf(report({ testResults: [file] }), 1)).toEqual({
    passed: 2,
    failed: 1,
    skipped: 0,
    problems: ["a.test.ts: Cannot find module"],
  });
});

test("a run without tests, without a report, or with an error outside of any test is a failure", () => {
  expect(tallyOf(report({ numTotalTests: 0, numPassedTests: 0 }), 1).problems).toEqual(["no tests were found"]);
  expect(tallyOf(undefined, null)).toMatchObject({ passed: 0, failed: 1 });
  expect(tallyOf(report({}), 1)).toMatchObject({ passed: 2, failed: 1 });
});

test("skipped tests are counted as such, neither passed nor failed", () => {
  const skipping = report({ numTotalTests: 3, numPendingTests: 1 });
  expect(tallyOf(skipping, 0)).toEqual({ passed: 2, failed: 0, skipped: 1, problems: [] });
});
