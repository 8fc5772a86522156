import { describe, expect, test } from "vitest";
import type { Forward } from "@sallyport/edge";
import { CommandFacts } from "@sallyport/proto/verdict";
import { commandOf } from "./command.ts";
import { type Portal, Prepared, type Statement } from "./prepared.ts";

const statement = (name: string, text: string, change: Partial<Statement> = {}): Statement => ({
  name,
  text: Buffer.from(text),
  parameterTypes: [],
  cycle: 0,
  answered: true,
  certain: true,
  ...change,
});

function portal(name: string, parameter = Buffer.alloc(0)): Portal {
  const text = Buffer.from("SELECT $1");
  const verdict = { id: "v", asOf: 0, facts: CommandFacts.fromPartial({}), hiddenClasses: [], message: "", limits: [] };
  const parameters = [{ typeOid: 0, binary: false, value: parameter }];
  const unit = { unit: "portal", text, parameters };
  const decision: Forward = { outcome: "forward", command: 1, unit, verdict, approvalId: "" };
  return { name, text, command: commandOf(decision, "portal"), cycle: 0, changes: 0, certain: true };
}

describe("a Parse under a name that is taken", () => {
  const unanswered = (text: string): Statement => statement("s", text, { answered: false });

  test("that the target refuses leaves the statement before it, which is verified before it is used", () => {
    const prepared = new Prepared();
    prepared.addStatement(statement("s", "SELECT 1"));
    const second = unanswered("SELECT 2");
    prepared.addStatement(second);
    prepared.statementFailed(second);
    expect(prepared.statement("s")).toMatchObject({ text: Buffer.from("SELECT 1"), certain: false });
    prepared.verified('{"s": "SELECT 3"}', null);
    expect(prepared.statement("s")).toBeUndefined();
  });

  test("leaves nothing of one that was not answered, was closed, or has no name", () => {
    const prepared = new Prepared();
    const [first, second] = [unanswered("SELECT 1"), unanswered("SELECT 2")];
    prepared.addStatement(first);
    prepared.addStatement(second);
    prepared.statementFailed(second);
    expect(prepared.statement("s")).toBeUndefined();

    const closed = statement("s", "SELECT 1");
    prepared.addStatement(closed);
    prepared.addStatement(second);
    prepared.closed(closed);
    prepared.statementFailed(second);
    expect(prepared.statement("s")).toBeUndefined();

    prepared.addStatement(statement("", "SELECT 1"));
    const unnamed = statement("", "SELECT 2", { answered: false });
    prepared.addStatement(unnamed);
    prepared.statementFailed(unnamed);
    expect(prepared.statement("")).toBeUndefined();
  });
});

describe("CloseComplete", () => {
  test("ends what had the name when the Close was sent, not what has it since", () => {
    const prepared = new Prepared();
    const [one, two] = [statement("s", "SELECT 1"), statement("s", "SELECT 2")];
    prepared.addStatement(one);
    prepared.addStatement(two);
    prepared.closed(one);
    expect(prepared.statement("s")).toBe(two);
    prepared.closed(two);
    expect(prepared.statement("s")).toBeUndefined();

    const [first, second] = [portal("p"), portal("p")];
    expect(prepared.addPortal(first)).toBeUndefined();
    expect(prepared.addPortal(second)).toBe(first);
    prepared.closed(first);
    expect(prepared.portal("p")).toBe(second);
    prepared.closed(second);
    expect(prepared.portal("p")).toBeUndefined();
  });
});

describe("EXECUTE in SQL", () => {
  const prepared = new Prepared();
  prepared.addStatement(statement("abc", "DELETE FROM t"));
  prepared.addStatement(statement("unsure", "SELECT 1", { certain: false }));
  prepared.addStatement(statement("unanswered", "SELECT 1", { answered: false }));

  test.each(["EXECUTE abc", "execute ABC", 'EXECUTE "abc"', "EXPLAIN ANALYZE EXECUTE/**/abc"])("%s is told", (text) => {
    expect(prepared.executableIn(text).map(({ name, text: inner }) => [name, inner])).toEqual([
      ["abc", "DELETE FROM t"],
    ]);
  });

  // `policy` refuses a name that it is not told of (services/policy/corpus/sessions.case: "an unknown name could be anything").
  test.each(['EXECUTE U&"\\0061bc"', "EXECUTE U&\"!0061bc\" UESCAPE '!'", "EXECUTE unsure", "EXECUTE unanswered"])(
    "%s is not: a name that nobody vouches for",
    (text) => {
      expect(prepared.executableIn(text)).toEqual([]);
    },
  );
});

test("what portals keep to be decided again is bounded, and given back", () => {
  const prepared = new Prepared();
  for (let i = 0; i < 32; i++) prepared.addPortal(portal(`p${i}`, Buffer.alloc(1024 * 1024)));
  expect(prepared.full).toBe(true);
  prepared.addPortal(portal("p0"));
  expect(prepared.full).toBe(false);
  for (let i = 1; i < 32; i++) prepared.portalFailed(prepared.portal(`p${i}`) as Portal);
  prepared.addPortal(portal("big", Buffer.alloc(31 * 1024 * 1024)));
  expect(prepared.full).toBe(false);
});
