/** Lineage in a line for each column, over a small schema: `name = people.email` as it stands there, `~` computed, `?` more. */

import { Schema } from "@sallyport/proto/catalog_model";
import type { Relation } from "@sallyport/proto/catalog_model";
import type { BaseColumn, ColumnFlow, OutputColumn, StatementLineage } from "@sallyport/proto/verdict";
import { lineageOf } from "../src/lineage/lineage.ts";
import type { LineageInput, TextLineage } from "../src/lineage/lineage.ts";
import { ColumnClasses } from "../src/schema/classes.ts";
import { RecordedCopies } from "../src/schema/recorded-copies.ts";
import { SchemaIndex } from "../src/schema/schema-index.ts";
import { parse } from "../src/sql/parser.ts";
import type { RawStatement } from "../src/sql/parser.ts";

const TYPES: Readonly<Record<string, number>> = { text: 25, integer: 23, numeric: 1700, "text[]": 1009 };

let lastOid = 20_000;

/** `id:integer name email`: text where nothing else is said. */
function relation(name: string, columns: string, more: Partial<Relation> = {}): Relation {
  const [schema = "", ...rest] = name.includes(".") ? name.split(".") : ["public", name];
  const list = columns.split(" ").map((column, i) => {
    const [called = "", type = "text", made = ""] = column.split(":");
    const generatedFrom = made === "" ? [] : made.split("+").map(Number);
    return {
      number: i + 1,
      name: called,
      type,
      typeOid: TYPES[type] ?? 0,
      generatedFrom,
    };
  });
  const base = { oid: ++lastOid, schema, name: rest.join("."), kind: "table", columns: list };
  return Schema.fromPartial({ relations: [{ ...base, ...more }] }).relations[0] as Relation;
}

const view = (name: string, columns: string, viewDefinition: string, kind = "view"): Relation =>
  relation(name, columns, { viewDefinition, kind });

const events = relation("events", "id:integer at note", { kind: "partitioned" });
const made = relation("made", "id:integer email shown:text:2");

const SCHEMA = Schema.fromPartial({
  serverVersion: "18.4",
  relations: [
    relation("people", "id:integer name email phone tags:text[]"),
    relation("visits", "id:integer person_id:integer note cost:numeric"),
    relation("archive.people", "id:integer email"),
    relation('Odd "Table"', "Id:integer E-Mail"),
    events,
    relation("events_1", "note id:integer at", { parents: [events.oid] }),
    made,
    relation("audited", "id:integer who", { hasTriggers: true }),
    relation("ruled", "id:integer who", { hasRules: true }),
    view("contacts", "id:integer who reach", " SELECT id, name AS who, email AS reach FROM public.people;"),
    view("lines", "line", " SELECT (who || ' '::text) || reach AS line FROM public.contacts;"),
    view("people_copies", "email", " SELECT email FROM public.people;", "materialized-view"),
    view("odd", "x", " SELECT public.secret(people.id) AS x FROM public.people;"),
    view("uppers", "upper", " SELECT upper(people.email) AS upper FROM public.people;"),
    view("endless", "x", " SELECT endless.x FROM public.endless;"),
    view("broken", "x", " SELECT FROM WHERE;"),
  ],
  functions: ["public.secret", "public.upper"],
  operators: ["public.<->"],
  types: ["public.mood"],
});

const classes = new ColumnClasses();
classes.observe(SCHEMA.relations, new RecordedCopies());
const INDEX = new SchemaIndex(SCHEMA, classes);

const called = ({ relation: of, name }: BaseColumn): string => `${of.replace(/^public\./, "")}.${name}`;

function sources(list: readonly BaseColumn[], temporary: readonly string[] = []): string {
  return [...list.map(called), ...temporary.map((name) => `temporary ${name}`)].join(", ");
}

function columnLine({ name, exact, unknown, sources: from, temporary }: OutputColumn): string {
  const sign = unknown !== "" ? "?" : exact ? "=" : "~";
  return `${name} ${sign} ${sources(from, temporary)}`.trimEnd();
}

export const shown = ({ outputs, silent, unknown }: StatementLineage): string =>
  silent ? "silent" : unknown === "" ? outputs.map(columnLine).join("; ") : "unknown";

/** `people.email`, `people.*`, `people.ctid`, `-` for none, `unobserved`; with `|` where several are possible. */
export function described({ outputs }: StatementLineage): string {
  return outputs
    .map(({ describedOid, describedNumber, orDescribed, describedUnobserved }) => {
      const origins = [{ oid: describedOid, number: describedNumber }, ...orDescribed].map(originName);
      const [first] = origins;
      if (describedUnobserved && first === "-" && origins.length === 1) return "unobserved";
      return [...origins, ...(describedUnobserved ? ["unobserved"] : [])].join("|");
    })
    .join("; ");
}

function originName({ oid, number }: { oid: number; number: number }): string {
  const of = INDEX.withOid(oid);
  if (of === undefined) return "-";
  const name = of.schema === "public" ? of.name : `${of.schema}.${of.name}`;
  if (number <= 0) return `${name}.${number === 0 ? "*" : String(number)}`;
  return `${name}.${of.columns.find((one) => one.number === number)?.name ?? "?"}`;
}

export const probed = ({ probes }: TextLineage): string =>
  probes.map(({ column: of }) => (of === undefined ? "" : called(of))).join(", ");

export function written({ flows }: TextLineage): string {
  return flows
    .map(({ relation: to, column: into, temporary, exact, unknown, sources: from }: ColumnFlow) => {
      const sign = unknown !== "" ? "?" : exact ? "=" : "~";
      return `${temporary ? "temporary " : ""}${to}.${into} ${sign} ${sources(from)}`.trimEnd();
    })
    .join("; ");
}

function syntax(text: string): readonly RawStatement[] | "unknown" {
  const parsed = parse(text);
  return parsed.kind === "parsed" ? parsed.statements : "unknown";
}

/** `loadParser()` first. */
export function lineage(text: string, more: Partial<LineageInput> = {}): TextLineage {
  const statements = syntax(text);
  if (statements === "unknown") throw new Error(`it does not parse: ${text}`);
  return lineageOf(statements, {
    index: INDEX,
    database: "orders",
    searchPath: ["public"],
    schemaTouched: false,
    named: [],
    temporary: [],
    syntax,
    ...more,
  });
}
