import { expect, test } from "vitest";
import {
  ColumnPlan,
  ColumnPlan_Action,
  type MaskPlan,
  type PlanResult,
  type ResultColumn,
} from "@sallyport/proto/masking";
import { AppError } from "@sallyport/runtime";
import { signedVerdict } from "../testing/recording-only.ts";
import type { Scope } from "./leases.ts";
import type { MaskingLink } from "./links.ts";
import { MaskPlans } from "./result-mask.ts";
import { VerdictEntry } from "./verdict-cache.ts";

const email: ResultColumn = { name: "email", tableOid: 16_400, columnNumber: 3, typeOid: 25, binary: false };
const id: ResultColumn = { name: "id", tableOid: 16_400, columnNumber: 1, typeOid: 23, binary: false };
const verdict = () => new VerdictEntry(signedVerdict(undefined, { hiddenClasses: ["email"] }));

function world(change: Partial<MaskingLink> = {}) {
  const scope: Scope = { connection: "orders", database: "orders", principalId: "user:e", newest: 5 };
  const asked: PlanResult[] = [];
  const cells: [string, number, number][] = [];
  const state = { asOf: 5, planId: "p-1", action: ColumnPlan_Action.ACTION_SCAN as ColumnPlan_Action };
  const link: MaskingLink = {
    async plan(result): Promise<MaskPlan> {
      asked.push(result);
      const columns = result.columns.map((column) =>
        ColumnPlan.fromPartial(
          column.name === "email"
            ? { action: state.action, class: "email", relation: "public.customers" }
            : { action: ColumnPlan_Action.ACTION_PASS },
        ),
      );
      return { planId: state.planId, columns, scrubText: true, asOf: state.asOf, staleSchema: false, disagreement: "" };
    },
    async cells(planId, column, given) {
      cells.push([planId, column, given.length]);
      if (planId !== state.planId) throw new AppError("not-found", "masking.cells", "plan again");
      return { cells: given.map((cell) => Buffer.from(`<${cell.toString()}>`)), changed: given.length };
    },
    ...change,
  };
  return { scope, asked, cells, state, plans: new MaskPlans(link) };
}

test("a plan is asked for once per verdict and shape, and again when the epoch moves", async () => {
  const { scope, asked, state, plans } = world();
  const shape = { verdict: verdict(), columns: [id, email], schemaTouched: false, codeRan: false };
  const mask = await plans.for(scope, shape);
  expect(plans.for(scope, { ...shape, columns: [{ ...id }, { ...email }] })).toBe(mask);
  expect(asked).toHaveLength(1);
  expect(asked[0]).toMatchObject({ hiddenClasses: ["email"], connection: "orders", unknownSources: false });
  await plans.for(scope, { ...shape, columns: [id] });
  await plans.for(scope, { ...shape, columns: [id, { ...email, binary: true }] });
  await plans.for(scope, { ...shape, schemaTouched: true });
  await plans.for(scope, { ...shape, codeRan: true });
  await plans.for(scope, { ...shape, verdict: verdict() });
  expect(asked).toHaveLength(6);
  scope.newest = 6;
  state.asOf = 6;
  expect(await plans.for(scope, shape)).not.toBe(mask);
  expect(asked).toHaveLength(7);
});

test("names that run into each other are different shapes", async () => {
  const { scope, asked, plans } = world();
  const known = verdict();
  const column = (name: string, columnNumber: number): ResultColumn => ({ ...id, name, columnNumber });
  await plans.for(scope, {
    verdict: known,
    columns: [column("a", 1), column("b", 2)],
    schemaTouched: false,
    codeRan: false,
  });
  await plans.for(scope, { verdict: known, columns: [column("a1,b", 2)], schemaTouched: false, codeRan: false });
  expect(asked).toHaveLength(2);
});

test("a plan says what is masked, and which classes are seen", async () => {
  const { scope, plans } = world();
  const mask = await plans.for(scope, {
    verdict: verdict(),
    columns: [id, email],
    schemaTouched: false,
    codeRan: false,
  });
  expect(mask).toMatchObject({ passesAll: false, hasRemote: true, scrubText: true });
  expect(mask.columns.map(({ kind }) => kind)).toEqual(["pass", "remote"]);
  expect(mask.classes).toEqual([
    {
      index: 1,
      name: "email",
      class: "email",
      transform: "scan",
      tableOid: 16_400,
      columnNumber: 3,
      relation: "public.customers",
    },
  ]);
});

test("cells go in bounded requests and come back in order", async () => {
  const { scope, cells, plans } = world();
  const mask = await plans.for(scope, {
    verdict: verdict(),
    columns: [id, email],
    schemaTouched: false,
    codeRan: false,
  });
  const given = Array.from({ length: 10_000 }, (_, i) => Buffer.from(`${i}`));
  const masked = await mask.remote(1, given);
  expect(masked.map(String)).toEqual(given.map((cell) => `<${cell.toString()}>`));
  expect(cells.map(([, , count]) => count)).toEqual([4096, 4096, 1808]);
});

test("masking that has forgotten the plan makes the same plan again, or none of the result is shown", async () => {
  const { scope, state, plans } = world();
  const mask = await plans.for(scope, { verdict: verdict(), columns: [email], schemaTouched: false, codeRan: false });
  state.planId = "p-2";
  expect((await mask.remote(0, [Buffer.from("a")])).map(String)).toEqual(["<a>"]);
  state.planId = "p-3";
  state.action = ColumnPlan_Action.ACTION_REDACT;
  await expect(mask.remote(0, [Buffer.from("a")])).rejects.toMatchObject({ code: "unavailable" });
});

test("answers that do not fit are faults, and a masking that lags is not believed", async () => {
  const short = world({ cells: async () => ({ cells: [], changed: 0 }) });
  const mask = await short.plans.for(short.scope, {
    verdict: verdict(),
    columns: [email],
    schemaTouched: false,
    codeRan: false,
  });
  await expect(mask.remote(0, [Buffer.from("a")])).rejects.toMatchObject({ code: "internal" });
  const wrong = world({
    plan: async () => ({ planId: "p", columns: [], scrubText: false, asOf: 5, staleSchema: false, disagreement: "" }),
  });
  const shape = { verdict: verdict(), columns: [email], schemaTouched: false, codeRan: false };
  await expect(wrong.plans.for(wrong.scope, shape)).rejects.toMatchObject({ code: "internal" });
  const late = world();
  late.scope.newest = 9;
  await expect(late.plans.for(late.scope, shape)).rejects.toMatchObject({ code: "unavailable" });
});
