import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "@sallyport/runtime";
import type { Session } from "./clickhouse.ts";
import { literal, statementsOf } from "./literal.ts";

const folder = join(import.meta.dirname, "../migrations");

export interface Migration {
  number: number;
  name: string;
  statements: string[];
}

/** `NNNN-name.sql`, in order, without gaps. Every statement can be run again: a crash between two of them does no harm. */
export function readMigrations(from: string = folder): Migration[] {
  const migrations = readdirSync(from)
    .filter((file) => file.endsWith(".sql"))
    .toSorted()
    .map((file) => {
      const match = /^(\d{4})-([a-z0-9-]+)\.sql$/.exec(file);
      if (match === null) throw new Error(`${file} is not named NNNN-name.sql`);
      return {
        number: Number(match[1]),
        name: match[2] as string,
        statements: statementsOf(readFileSync(join(from, file), "utf8")),
      };
    });
  migrations.forEach((migration, i) => {
    if (migration.number !== i + 1) throw new Error(`migration ${i + 1} is missing before ${migration.number}`);
  });
  return migrations;
}

/** @returns the names of those that were run */
export async function migrate(
  session: Session,
  migrations: readonly Migration[] = readMigrations(),
): Promise<string[]> {
  await session.run("CREATE DATABASE IF NOT EXISTS storage");
  await session.run(
    "CREATE TABLE IF NOT EXISTS storage.migrations (number UInt32, name String, at DateTime64(3, 'UTC') DEFAULT now64(3)) ENGINE = MergeTree ORDER BY number",
  );
  const done = new Set(
    (await session.rows<{ number: number }>("SELECT number FROM storage.migrations")).map((row) => row.number),
  );
  const newest = Math.max(0, ...done);
  if (newest > migrations.length) {
    throw new AppError(
      "failed-precondition",
      "audit.migrate",
      `the log was written by a newer version (its schema is ${newest}, ours ${migrations.length})`,
    );
  }
  const run: string[] = [];
  for (const { number, name, statements } of migrations) {
    if (done.has(number)) continue;
    for (const statement of statements) await session.run(statement);
    await session.run(`INSERT INTO storage.migrations (number, name) VALUES (${number}, ${literal(name)})`);
    run.push(name);
  }
  return run;
}
