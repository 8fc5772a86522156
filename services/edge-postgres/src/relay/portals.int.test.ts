import { serialize } from "pg-protocol";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { ColumnPlan, ColumnPlan_Action as Action } from "@sallyport/proto/masking";
import { CommandCompleted_Status as Status } from "@sallyport/proto/record";
import { CommandFacts, DenyReason, Outcome, type Verdict } from "@sallyport/proto/verdict";
import { startPostgres, type TestPostgres } from "../../testing/postgres-server.ts";
import { reportsOf, rowsOf, statusOf, tagsOf, typesOf } from "../../testing/raw-client.ts";
import { startSteppedRelay, type SteppedRelay } from "../../testing/stepped-relay.ts";

/** A portal goes on only while the decision of its Bind holds (I7); so does a COPY that was planned. */
let postgres: TestPostgres;
/** what the portals' and COPYs' texts are answered with, in turn; the last one from then on */
let verdicts: Partial<Verdict>[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
  await postgres.query(`
    CREATE ROLE app LOGIN PASSWORD 'app-secret';
    CREATE SCHEMA other AUTHORIZATION app;
    CREATE TABLE t (id int, name text);
    INSERT INTO t SELECT i, 'secret ' || i FROM generate_series(1, 25) i;
    ALTER TABLE t OWNER TO app;`);
});
afterAll(async () => {
  await postgres?.stop();
});

const facts = (change: Partial<CommandFacts>): { facts: CommandFacts } => ({
  facts: CommandFacts.fromPartial({ actions: ["read"], hasWhere: true, statementCount: 1, ...change }),
});

async function relayed(...answers: Partial<Verdict>[]): Promise<SteppedRelay> {
  verdicts = answers;
  const made = await startSteppedRelay({
    port: postgres.port,
    decide: ({ command }) => {
      const text = command?.text ?? "";
      if (text.startsWith("SET")) return facts({ sessionEffect: true });
      if (command?.unit === "parse" || !/FROM t|COPY/.test(text)) return {};
      return (verdicts.length > 1 ? verdicts.shift() : verdicts[0]) ?? {};
    },
    links: {
      masking: {
        plan: async ({ columns, hiddenClasses }, asOf) => {
          const action = hiddenClasses.includes("name") ? Action.ACTION_REDACT : Action.ACTION_PASS;
          const plans = columns.map(({ name }) =>
            ColumnPlan.fromPartial(name === "id" ? { action: Action.ACTION_PASS } : { action, class: "name" }),
          );
          return { planId: "p", columns: plans, scrubText: false, asOf, staleSchema: false, disagreement: "" };
        },
        cells: () => Promise.reject(new Error("nothing here needs it")),
      },
    },
  });
  onTestFinished(() => made.stop());
  return made;
}

const parse = (text: string, name = ""): Buffer => serialize.parse({ text, name });
const bind = (statement = "", portal = ""): Buffer => serialize.bind({ statement, portal });
const execute = (portal = "", rows = 0): Buffer => serialize.execute({ portal, rows });
const sync = serialize.sync();

const deny = { outcome: Outcome.OUTCOME_DENY, reason: DenyReason.DENY_REASON_POLICY, message: "Not any more." };
const hold = {
  outcome: Outcome.OUTCOME_HOLD,
  message: "Two must look.",
  holds: [{ policyId: "p", group: "dba", quorum: 1, withinSeconds: 60, message: "Two must look." }],
};

const rulesChange = ({ world }: SteppedRelay): number =>
  world.say({ $case: "configurationApplied", value: { configuration: undefined, digest: "", changes: [] } });

/** A portal of which 10 of 25 rows are read, in a transaction: command 3. */
async function suspended(relay: SteppedRelay): Promise<void> {
  const { client } = relay;
  await client.query("BEGIN");
  client.send(parse("SELECT id, name FROM t ORDER BY id"), bind("", "p"), execute("p", 10), sync);
  expect(typesOf(await client.until("Z"))).toBe(`12${"D".repeat(10)}sZ`);
}

const completions = (relay: SteppedRelay, command: number): unknown[] =>
  relay.facts("commandCompleted").filter((fact) => fact.command === command);

describe("a portal that was read in part", () => {
  test("goes on without another decision while nothing has changed, and is one command on record", async () => {
    const relay = await relayed({});
    await suspended(relay);
    const asked = relay.questions.length;
    relay.client.send(execute("p", 10), sync, execute("p", 10), sync);
    expect(typesOf(await relay.client.until("Z"))).toBe(`${"D".repeat(10)}sZ`);
    expect(typesOf(await relay.client.until("Z"))).toBe(`${"D".repeat(5)}CZ`);
    await relay.recorded("commandCompleted", 3);
    expect(relay.questions).toHaveLength(asked);
    expect(relay.facts("commandAdmitted").filter(({ command }) => command === 3)).toHaveLength(1);
    expect(completions(relay, 3)).toMatchObject([{ status: Status.STATUS_OK, rows: 25, tag: "SELECT 5" }]);
    const frames = relay.facts("frameToClient").filter(({ command }) => command === 3);
    expect(Buffer.concat(frames.map(({ data }) => data as Buffer)).toString()).toContain("secret 25");
  });

  test.each([
    ["denied", deny, "Not any more."],
    ["held", hold, "Two must look. (The rules changed since this portal was bound: run the command again.)"],
  ])("is refused when it would be %s now, and fails its transaction", async (_, verdict, message) => {
    const relay = await relayed({}, verdict);
    await suspended(relay);
    const seq = rulesChange(relay);
    relay.client.send(execute("p", 10), sync);
    const answer = await relay.client.until("Z");
    expect(typesOf(answer)).toBe("EZ");
    expect(reportsOf(answer)[0]).toMatchObject({ C: "42501", M: message });
    expect(statusOf(answer)).toBe("E");
    expect(relay.questions.at(-1)).toMatchObject({ minAsOf: seq });
    await relay.recorded("commandCompleted", 3);
    expect(relay.facts("commandDenied")).toMatchObject([{ command: 3, message }]);
    expect(completions(relay, 3)).toMatchObject([{ status: Status.STATUS_ERROR, code: "42501", rows: 10 }]);
    relay.client.send(execute("p", 10), sync);
    expect(typesOf(await relay.client.until("Z"))).toBe("EZ");
    expect(statusOf(await relay.client.query("ROLLBACK"))).toBe("I");
  });

  test("goes on under a new verdict, which is on record before its rows are asked for", async () => {
    const relay = await relayed({});
    await suspended(relay);
    rulesChange(relay);
    relay.bus.automatic = false;
    relay.client.send(execute("p", 0), sync);
    await expect.poll(() => relay.facts("commandAdmitted").filter(({ command }) => command === 3)).toHaveLength(2);
    const [first, second] = relay.facts("commandAdmitted").filter(({ command }) => command === 3);
    expect(second).toMatchObject({ text: first?.["text"], portalName: "p" });
    expect(second?.["verdictId"]).not.toBe(first?.["verdictId"]);
    expect(relay.facts("frameToClient").filter(({ command }) => command === 3)).toHaveLength(1);
    relay.bus.automatic = true;
    relay.bus.ackAll();
    expect(typesOf(await relay.client.until("Z"))).toBe(`${"D".repeat(15)}CZ`);
    await relay.recorded("commandCompleted", 3);
    expect(completions(relay, 3)).toMatchObject([{ status: Status.STATUS_OK, rows: 25 }]);
  });

  test("is masked from the moment that something is hidden", async () => {
    const relay = await relayed({}, { hiddenClasses: ["name"] });
    await suspended(relay);
    rulesChange(relay);
    relay.client.send(execute("p", 1), sync);
    expect(rowsOf(await relay.client.until("Z"))).toEqual([["11", "[redacted]"]]);
  });

  test("waits for a lease", async () => {
    const relay = await relayed({});
    await suspended(relay);
    relay.world.fresh = false;
    const seen = relay.client.said.length;
    relay.client.send(execute("p", 10), sync);
    // refused only with the wait for a lease: meanwhile nothing is asked for
    const answer = await relay.client.until("Z");
    expect(typesOf(answer)).toBe("EZ");
    expect(reportsOf(answer)[0]).toMatchObject({ C: "58000" });
    expect(relay.client.said.slice(seen).some(({ type }) => type === "D")).toBe(false);
  });

  test("is decided in the session's state as it is now", async () => {
    const relay = await relayed({});
    await suspended(relay);
    await relay.client.query("SET search_path = other, public");
    relay.client.send(execute("p", 10), sync);
    expect(typesOf(await relay.client.until("Z"))).toBe(`${"D".repeat(10)}sZ`);
    expect(relay.questions.at(-1)?.command).toMatchObject({
      unit: "portal",
      text: "SELECT id, name FROM t ORDER BY id",
      searchPath: ["pg_catalog", "other", "public"],
    });
  });

  test.each([
    ["closed", [serialize.close({ type: "P", name: "p" })]],
    ["forgotten with its transaction", [serialize.query("COMMIT")]],
  ])("is over once it is %s", async (_, messages) => {
    const relay = await relayed({});
    await suspended(relay);
    relay.client.send(...messages, sync);
    await relay.client.until("Z");
    await relay.recorded("commandCompleted", 3);
    expect(completions(relay, 3)).toMatchObject([{ status: Status.STATUS_OK, rows: 10 }]);
  });

  test("is over once another takes its name", async () => {
    const relay = await relayed({});
    const { client } = relay;
    await client.query("BEGIN");
    client.send(parse("SELECT id, name FROM t ORDER BY id", "s"), bind("s"), execute("", 10), sync);
    await client.until("Z");
    client.send(bind("s"), execute("", 3), sync);
    expect(rowsOf(await client.until("Z"))).toHaveLength(3);
    await relay.recorded("commandCompleted", 3);
    expect(completions(relay, 3)).toMatchObject([{ status: Status.STATUS_OK, rows: 10 }]);
    expect(completions(relay, 4)).toEqual([]);
  });
});

test("bound and run in one pipeline, a portal is decided once", async () => {
  const relay = await relayed({});
  relay.client.send(parse("SELECT id FROM t"), bind(), execute(), sync);
  expect(tagsOf(await relay.client.until("Z"))).toEqual(["SELECT 25"]);
  expect(relay.questions.map(({ command }) => command?.unit)).toEqual(["parse", "portal"]);
});

describe("a COPY that is decided again on its way", () => {
  const copy = facts({ verbs: ["copy-to"], transferColumns: ["id", "name"] });
  const hidden = { ...copy, hiddenClasses: ["name"] };

  test.each([
    ["was shown in clear, and would have to be masked", copy, hidden],
    ["was found to hold nothing hidden", { ...hidden, hiddenClasses: ["other"] }, hidden],
  ])("is refused when it %s", async (_, first, second) => {
    const relay = await relayed(first, second);
    await relay.client.query("SELECT 0");
    relay.bus.automatic = false;
    relay.client.send(serialize.query("COPY (SELECT 'secret') TO STDOUT"));
    await relay.recorded("commandAdmitted", 2);
    rulesChange(relay);
    relay.bus.automatic = true;
    relay.bus.ackAll();
    const answer = await relay.client.until("Z");
    expect(typesOf(answer)).toBe("EZ");
    expect(reportsOf(answer)[0]).toMatchObject({ C: "58000", M: expect.stringContaining("run it again") });
    expect(relay.facts("commandForwarded").map(({ command }) => command)).toEqual([1]);
    expect(rowsOf(await relay.client.query("SELECT 1"))).toEqual([["1"]]);
  });

  test("goes on when nothing is hidden", async () => {
    const relay = await relayed(copy);
    await relay.client.query("SELECT 0");
    relay.bus.automatic = false;
    relay.client.send(serialize.query("COPY (SELECT 'secret') TO STDOUT"));
    await relay.recorded("commandAdmitted", 2);
    rulesChange(relay);
    relay.bus.automatic = true;
    relay.bus.ackAll();
    expect(typesOf(await relay.client.until("Z"))).toBe("HdcCZ");
  });
});
