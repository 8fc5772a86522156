import pg from "pg";
import type { Stack } from "@sallyport/local";
import { libpqEnvironment } from "./contenders/contender.ts";
import { initialisePgbench } from "./pgbench.ts";

/** The database that all contenders reach, as the gateway's own role at the target. */
export interface BenchDatabase {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string;
}

export const PGBENCH_SCALE = 10;

/** Two tables with the same bytes: by their names two columns of `people_rows` are classified, none of `plain_rows`. */
const TABLES = [
  { name: "people_rows", columns: ["id", "title", "email", "phone", "amount", "created_at"] },
  { name: "plain_rows", columns: ["id", "title", "first_text", "second_text", "amount", "created_at"] },
] as const;

/** Makes the database, pgbench's tables at scale 10 and the tables of the row section. */
export async function prepareBenchDatabase(stack: Stack, rows: number): Promise<BenchDatabase> {
  const { target } = stack;
  const database: BenchDatabase = {
    host: target.host,
    port: target.port,
    database: "bench",
    user: target.appUser,
    password: target.appPassword,
  };
  const superuser = {
    host: target.host,
    port: target.port,
    user: target.superuser,
    password: target.superuserPassword,
  };
  await within({ ...superuser, database: "postgres" }, [`CREATE DATABASE bench OWNER ${target.appUser}`]);
  await initialisePgbench(libpqEnvironment(database, undefined), PGBENCH_SCALE);
  await within(database, [...TABLES.flatMap((table) => tableStatements(table, rows)), ERRANDS]);
  // what the section measures is the way of the rows, not the first look at fresh ones
  await within({ ...superuser, database: "bench" }, ["VACUUM (ANALYZE)", "CHECKPOINT"]);
  return database;
}

/** Rows that the approval measurement deletes one by one. */
const ERRANDS = "CREATE TABLE errands AS SELECT id FROM generate_series(1, 1000) id";

function tableStatements({ name, columns }: (typeof TABLES)[number], rows: number): string[] {
  const [id, title, third, fourth, amount, at] = columns;
  return [
    `CREATE TABLE ${name} (${id} int, ${title} text, ${third} text, ${fourth} text, ${amount} numeric(10,2), ${at} timestamptz)`,
    `INSERT INTO ${name}
     SELECT n, 'entry number ' || n, 'person.' || n || '@example.com', '+49 151 ' || lpad((n::bigint * 7919 % 10000000)::text, 8, '0'),
            n % 100000 / 7.0, timestamptz '2026-01-01' + n * interval '1 second'
     FROM generate_series(1, ${rows}) n`,
  ];
}

async function within(config: pg.ClientConfig, statements: readonly string[]): Promise<void> {
  const client = new pg.Client(config);
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}
