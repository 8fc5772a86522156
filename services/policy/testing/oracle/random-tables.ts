/** What random queries are made of: the relations of schema.sql by kind of value, and what is in sight where. */

export type Kind = "int" | "num" | "text" | "bool" | "json" | "time" | "texts" | "row";

export interface Column {
  name: string;
  kind: Kind;
  /** of a row: its fields */
  fields?: readonly Column[];
}

/** Something in FROM. */
export interface Source {
  /** as it is written: quoted where that is needed */
  alias: string;
  columns: readonly Column[];
  /** can its whole row be named? */
  whole: boolean;
}

/** From the innermost query outwards. */
export type Scope = readonly (readonly Source[])[];

const KINDS: Readonly<Record<string, Kind>> = {
  i: "int",
  n: "num",
  t: "text",
  b: "bool",
  j: "json",
  d: "time",
  a: "texts",
};

const ADDRESS: readonly Column[] = ["street", "city", "zip"].map((name) => ({ name, kind: "text" }));

/** `name:letter`; `r` is an address. */
const columns = (text: string): Column[] =>
  text.split(" ").map((word) => {
    const [name = "", letter = ""] = word.split(":");
    return letter === "r" ? { name, kind: "row", fields: ADDRESS } : { name, kind: KINDS[letter] ?? "text" };
  });

export interface Relation {
  name: string;
  columns: readonly Column[];
  /** may be written, and its column that is unique */
  writable: boolean;
  unique?: string;
}

const table = (name: string, text: string, unique?: string): Relation => ({
  name,
  columns: columns(text),
  writable: true,
  ...(unique === undefined ? {} : { unique }),
});
const view = (name: string, text: string): Relation => ({ name, columns: columns(text), writable: false });

export const RELATIONS: readonly Relation[] = [
  table("customers", "id:i name:t email:t phone:t card_number:t notes:t tags:a profile:j created_at:d", "id"),
  table("public.customers", "id:i name:t email:t phone:t card_number:t notes:t tags:a profile:j created_at:d", "id"),
  table("orders", "id:i customer_id:i amount:n status:t created_at:d", "id"),
  table("public.items", "id:i order_id:i sku:t qty:i price:n remark:t", "id"),
  table("totals", "id:i net:n tax:n gross:n doubled:n note:t"),
  table("archive.customers", "id:i email:t left_at:d"),
  table("archive.orders", "id:i amount:n iban:t"),
  table("hr.departments", "id:i name:t budget:n", "id"),
  table("hr.people", "id:i name:t salary:n ssn:t manager_id:i dept_id:i home:r", "id"),
  table('"Weird Schema"."Odd Table"', '"Id":i "E-Mail":t "select":t "weird.name":t'),
  table("app.measurements", "id:i value:n secret:t"),
  table("app.measurements_2", "id:i value:n secret:t"),
  table("app.base", "id:i label:t secret:t"),
  table("app.heir", "id:i label:t secret:t extra:t"),
  table("customer_contacts", "id:i who:t reach:t"),
  view("contact_lines", "line:t id:i"),
  view("order_totals", "id:i name:t order_count:i total:n some_email:t"),
  view("everybody", "id:i email:t at:t"),
  view("joined", "id:i name:t email:t amount:n iban:t"),
  view("hr.chain", "id:i boss:i path:t"),
  view("hr.latest", "name:t ssn:t"),
  view("hr.guarded", "id:i name:t ssn:t"),
  view("contact_copies", "id:i copied:t"),
  view("over_copies", "copied:t spent:n"),
  view("app.all_bases", "id:i label:t secret:t"),
  view("masked_contacts", "id:i phone_hint:t"),
  view("scratch", "id:i email:t note:t"),
];

export const TYPES: Readonly<Record<Exclude<Kind, "row">, string>> = {
  int: "int",
  num: "numeric",
  text: "text",
  bool: "boolean",
  json: "jsonb",
  time: "timestamptz",
  texts: "text[]",
};

export const isGenerated = (column: Column): boolean => column.name === "gross" || column.name === "doubled";

/** The sources that can be named: an inner one hides an outer one of its name. */
export function inSight(scope: Scope): Source[] {
  const names = new Set<string>();
  const found: Source[] = [];
  for (const level of scope) {
    for (const source of level) if (!names.has(source.alias)) found.push(source);
    for (const source of level) names.add(source.alias);
  }
  return found;
}
