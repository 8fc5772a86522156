import type { RecordBody } from "@sallyport/proto/record";
import { CommandFacts, NamedStatement_Kind, SignedVerdict, Verdict } from "@sallyport/proto/verdict";
import { expect, test } from "vitest";
import { SessionView } from "./session-view.ts";

const VALUE = "grace@example.org";
const text = `DELETE FROM customers WHERE email = '${VALUE}'`;
const normalized = "DELETE FROM customers WHERE email = $1";
const kind = NamedStatement_Kind.KIND_PREPARED;

const verdict = Verdict.fromPartial({
  id: "v-1",
  inputs: Buffer.from(JSON.stringify({ text })),
  facts: CommandFacts.fromPartial({
    normalized: "EXECUTE wipe",
    named: [{ kind, name: "wipe", text }],
    executes: [{ kind, name: "wipe", text, normalized }],
  }),
});
const reached: RecordBody = {
  fact: {
    $case: "verdictReached",
    value: { verdict: SignedVerdict.fromPartial({ verdict: Buffer.from(Verdict.encode(verdict).finish()) }) },
  },
};

function seen(revealed: readonly string[]): Verdict {
  const { fact } = new SessionView(new Set(revealed), "postgresql").view(reached).body;
  if (fact?.$case !== "verdictReached") throw new Error("another fact");
  return Verdict.decode(fact.value.verdict?.verdict ?? Buffer.alloc(0));
}

test("a verdict without texts tells what is run by its name in its normalized form only", () => {
  const shown = seen(["person-name"]);
  expect(Buffer.from(Verdict.encode(shown).finish()).includes(VALUE)).toBe(false);
  expect(shown.facts?.executes).toEqual([{ kind, name: "wipe", text: "", normalized }]);
  expect(shown.facts?.named).toEqual([{ kind, name: "wipe", text: "" }]);
});

test("whoever may see statement texts sees those that are run by their names", () => {
  expect(seen(["statement-text"])).toEqual(verdict);
});
