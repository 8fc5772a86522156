import {
  type Classification,
  type DataClass,
  type Relation,
  Schema,
  type Transform,
} from "@sallyport/proto/catalog_model";
import type { MaskPlan, PlanResult, ResultColumn } from "@sallyport/proto/masking";
import { Access, type RelationFact } from "@sallyport/proto/verdict";
import type { Event } from "@sallyport/proto/event";
import { MaskingState } from "../src/masking-state.ts";
import { planResult } from "../src/plan/plan-result.ts";
import { Turns } from "../src/turns.ts";

/** A configuration with a class for each transform, and two tables: what plans are tested with. */

export const TEXT = 25;
export const INT4 = 23;

const transforms: Record<string, Transform["kind"]> = {
  email: { $case: "partial", value: { keepFirst: 1, keepLast: 0, mask: "", keepSeparators: true } },
  phone: { $case: "hash", value: { prefix: "ph_" } },
  secret: { $case: "nullify", value: {} },
  "free-text": { $case: "scan", value: { detectors: [] } },
  name: { $case: "redact", value: { replacement: "<name>" } },
};
const classes = Object.entries(transforms).map(([name, kind]): DataClass => ({
  name,
  parent: "",
  transform: { kind },
}));

export const rule = (of: string, pattern: string): Classification => {
  const [schema = "", name = "", column = ""] = pattern.split(".");
  return { class: of, connection: "*", database: "*", schema, relation: name, column };
};
export const RULES = [
  rule("email", "*.*.email*"),
  rule("phone", "*.customers.phone"),
  rule("secret", "public.customers.pin"),
  rule("free-text", "*.*.notes"),
  rule("name", "*.customers.full_name"),
];

export type ColumnOf = [name: string, type?: number, generatedFrom?: number[]];
export function relation(oid: number, name: string, columns: ColumnOf[], more: Partial<Relation> = {}): Relation {
  return {
    oid,
    schema: "public",
    name,
    kind: more.viewDefinition ? "view" : "table",
    columns: columns.map(([column, typeOid = TEXT, generatedFrom = []], i) => ({
      number: i + 1,
      name: column,
      typeOid,
      type: typeOid === TEXT ? "text" : `type ${typeOid}`,
      generatedFrom,
    })),
    viewDefinition: "",
    hasTriggers: false,
    hasRules: false,
    parents: [],
    ...more,
  };
}

export const CUSTOMERS = relation(20_001, "customers", [
  ["id", INT4],
  ["full_name"],
  ["email"],
  ["phone"],
  ["pin"],
  ["notes"],
]);
export const ORDERS = relation(20_002, "orders", [["id", INT4], ["customer_id", INT4], ["status"]]);
export const schemaOf = (...relations: Relation[]): Schema => Schema.fromPartial({ serverVersion: "18", relations });

export const event = (said: Event["fact"]): Event => ({
  id: "",
  atMs: 0,
  service: "",
  aggregate: "",
  version: 1,
  cause: "",
  traceId: "",
  fact: said,
});
export const HIDDEN = ["email", "phone", "secret", "free-text", "name"];
export const column = (tableOid: number, columnNumber: number, typeOid = TEXT, binary = false): ResultColumn => ({
  name: "c",
  tableOid,
  columnNumber,
  typeOid,
  binary,
});
export function fact(
  of: Relation | string,
  access: Access = Access.ACCESS_READ,
  columns: string[] = ["*"],
): RelationFact {
  if (typeof of === "string")
    return {
      schema: "public",
      name: of,
      oid: 0,
      access: [access],
      columns,
      kind: of === "temp" ? "temporary" : "table",
      reads: [],
    };
  return { schema: of.schema, name: of.name, oid: of.oid, access: [access], columns, kind: of.kind, reads: [] };
}

const ACTIONS: Readonly<Record<number, string>> = {
  1: "pass",
  2: "redact",
  3: "partial",
  4: "null",
  5: "hash",
  6: "scan",
};

/** The fold and its plans, with RULES and the two tables. */
export class PlanWorld {
  readonly state = new MaskingState(new Turns());

  constructor() {
    this.configure(RULES);
    this.observe(CUSTOMERS, ORDERS);
  }

  configure(classifications: Classification[]): void {
    const configuration = { connections: [], classifications, classes, groups: [], policies: [], issuers: [] };
    this.state.apply(event({ $case: "configurationApplied", value: { configuration, digest: "", changes: [] } }));
  }

  observe(...relations: Relation[]): void {
    const value = { connection: "orders", database: "orders", schema: schemaOf(...relations), digest: "", edge: "" };
    this.state.apply(event({ $case: "schemaObserved", value }));
  }

  async plan(columns: ResultColumn[], more: Partial<PlanResult> = {}): Promise<Omit<MaskPlan, "asOf">> {
    const request: PlanResult = {
      connection: "orders",
      database: "orders",
      hiddenClasses: HIDDEN,
      columns,
      relations: [fact(CUSTOMERS)],
      unknownSources: false,
      schemaTouched: false,
      lineage: undefined,
      codeRan: false,
      ...more,
    };
    await this.state.prepare(request.connection, request.database);
    return planResult(request, this.state).plan;
  }

  async actions(columns: ResultColumn[], more: Partial<PlanResult> = {}): Promise<string[]> {
    return (await this.plan(columns, more)).columns.map(({ action }) => ACTIONS[action] ?? "?");
  }
}
