import type { TargetAddress } from "../faults/target.ts";
import { asSuperuser } from "../faults/target.ts";
import type { Mark } from "./marks.ts";

/** What is hidden in the corpus's database: read from it, beside the gateway, once it is filled. */

const HIDDEN: readonly { table: string; columns: Readonly<Record<string, string>> }[] = [
  {
    table: "people",
    columns: {
      email: "email",
      phone: "phone",
      card: "card",
      secret: "secret",
      token: "token",
      salary: "private",
      born: "private",
      balance: "private",
      ext: "private",
      ip: "private",
      photo: "private",
      aliases: "private",
      home: "private",
      profile: "secret",
      letter: "secret",
    },
  },
  { table: "orders", columns: { contact_email: "email" } },
  { table: "docs", columns: { body_secret: "secret" } },
  { table: "records", columns: { secret: "secret" } },
  { table: "gen", columns: { email: "email" } },
  { table: '"Odd Names"', columns: { '"E-Mail"': "email", '"a""b"': "secret" } },
  { table: '"почта"', columns: { '"адрес"': "secret" } },
  { table: "other.items", columns: { label: "secret" } },
  { table: "triggered", columns: { secret: "secret" } },
];

/** How a type is sent in the binary format, where that is no text. */
const SENT: Readonly<Record<string, string>> = {
  salary: "int4send",
  born: "date_send",
  balance: "numeric_send",
  ext: "uuid_send",
  ip: "inet_send",
  home: "point_send",
};

export async function readMarks(target: TargetAddress, database: string): Promise<Mark[]> {
  return asSuperuser(target, database, async (client) => {
    const marks: Mark[] = [];
    for (const { table, columns } of HIDDEN) {
      for (const [column, name] of Object.entries(columns)) {
        const binary = SENT[column] === undefined ? "NULL" : `${SENT[column]}(${column})`;
        // bytea holds text here
        const text = column === "photo" ? "convert_from(photo, 'UTF8')" : `${column}::text`;
        const sql = `SELECT ${text} AS text, ${binary} AS binary FROM ${table} WHERE ${column} IS NOT NULL`;
        const { rows } = await client.query<{ text: string; binary: Buffer | null }>(sql);
        rows.forEach((row, at) => {
          // `{"pin": "…"}` and `<l>…</l>` have nothing else that is marked; a note's words around its address are not.
          marks.push({
            where: `${table}.${column} ${at + 1}`,
            class: name,
            text: row.text,
            ...sentAs(column, row.binary),
          });
        });
      }
    }
    const { rows } = await client.query<{ text: string }>(
      `SELECT substring(notes FROM '\\S+@\\S+') AS text FROM people WHERE notes LIKE '%@%'`,
    );
    for (const { text } of rows) marks.push({ where: "people.notes", class: "free-text", text });
    return marks;
  });
}

/** Without what is no part of the value: inet's family, length and flags. */
function sentAs(column: string, binary: Buffer | null): { binary?: Buffer } {
  if (binary === null) return {};
  return { binary: column === "ip" ? binary.subarray(4) : binary };
}
