/** What random statements are made of: the relations of schema.sql. */

export type Kind = "text" | "int" | "bool" | "other";

export interface Column {
  readonly name: string;
  readonly kind: Kind;
}

export interface Relation {
  readonly sql: string;
  readonly columns: readonly Column[];
}

const relation = (sql: string, text: string, int = "", other = ""): Relation => {
  const list = (names: string, kind: Kind): Column[] =>
    names
      .split(/,\s*/)
      .filter((name) => name !== "")
      .map((name) => ({ name, kind }));
  return { sql, columns: [...list(text, "text"), ...list(int, "int"), ...list(other, "other")] };
};

const PEOPLE = relation(
  "people",
  "name, email, phone, card, secret, token, notes",
  "id, team_id, salary",
  "born, balance, ext, ip, photo, aliases, home, profile, letter",
);

export const RELATIONS: readonly Relation[] = [
  PEOPLE,
  PEOPLE,
  PEOPLE,
  relation("teams", "name", "id"),
  relation("plain", "label", "id, n"),
  relation("orders", "status, contact_email", "id, person_id", "amount"),
  relation("docs", "title, body_secret", "id"),
  relation("docs_high", "body_secret, title", "id"),
  relation("records", "secret", "id"),
  relation("records_more", "secret, extra", "id"),
  relation("gen", "email, lowered, turned", "id, twice"),
  relation('"Odd Names"', '"E-Mail", "a""b", "select"', '"Id"'),
  relation('"почта"', '"адрес"', "id"),
  relation("other.items", "label", "id"),
  relation("items", "label", "id"),
  relation("people_v", "name, contact", "id"),
  relation("people_vv", "c", "id"),
  relation("people_shout", "shout", "id"),
  relation("people_mixed", "line", "id"),
  relation("team_sizes", "name", ""),
  relation("everyone", "name", ""),
  relation("barred", "s", "id"),
  relation("renamed", "a, b", ""),
  relation("people_m", "contact", "id, pay"),
  relation("chain", "t", "id"),
  relation("folk", "name, email, secret", "id"),
  relation("generate_series(1, 3)", "", ""),
].filter(({ columns }) => columns.length > 0);
