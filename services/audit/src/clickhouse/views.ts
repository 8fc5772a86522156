/**
 * What people see: the same views in two databases. `log` shows statements without their constants; `log_revealed` shows
 * them as they were. Which one a reader gets is decided by their `reveal` rights, and nobody reaches the tables beneath.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Session } from "./clickhouse.ts";

export type ReaderDatabase = "log" | "log_revealed";
export const readerDatabases: readonly ReaderDatabase[] = ["log", "log_revealed"];

const folder = join(import.meta.dirname, "../views");

/** A view's file: what it is, its columns in order, and its query. */
export interface ViewSource {
  name: string;
  about: string;
  columns: { name: string; about: string }[];
  query: string;
}

/** In an order in which each can be made. */
export function readViews(): ViewSource[] {
  const views = readdirSync(folder)
    .filter((file) => file.endsWith(".sql"))
    .map((file) => readView(file.slice(0, -4), readFileSync(join(folder, file), "utf8")));
  const uses = (view: ViewSource): number => (view.query.includes("{database}.") ? 1 : 0);
  return views.toSorted((a, b) => uses(a) - uses(b) || a.name.localeCompare(b.name));
}

function readView(name: string, text: string): ViewSource {
  const lines = text.split("\n");
  const comments = lines.filter((line) => line.startsWith("-- ")).map((line) => line.slice(3));
  const [about = "", ...columns] = comments;
  return {
    name,
    about,
    columns: columns.map((line) => {
      const at = line.indexOf("|");
      return { name: line.slice(0, at).trim(), about: line.slice(at + 1).trim() };
    }),
    query: lines
      .filter((line) => !line.startsWith("-- "))
      .join("\n")
      .trim(),
  };
}

/** `REVEAL[clear ELSE instead]`: what readers who may see statement texts get, and what the others do. */
export function viewQuery(view: ViewSource, database: ReaderDatabase): string {
  return view.query
    .replaceAll("{database}", database)
    .replace(/REVEAL\[(.+?) ELSE (.+?)\](?= AS|,)/g, (_, clear: string, instead: string) =>
      database === "log_revealed" ? clear : instead,
    );
}

/** Makes all views anew: they hold nothing. What an earlier version had and this one has not is dropped. */
export async function makeViews(session: Session): Promise<void> {
  const views = readViews();
  for (const database of readerDatabases) {
    await session.run(`CREATE DATABASE IF NOT EXISTS ${database}`);
    for (const view of views)
      await session.run(`CREATE OR REPLACE VIEW ${database}.${view.name} AS ${viewQuery(view, database)}`);
    const wanted = new Set(views.map((view) => view.name));
    const existing = await session.rows<{ name: string }>(
      `SELECT name FROM system.tables WHERE database = '${database}'`,
    );
    for (const { name } of existing) if (!wanted.has(name)) await session.run(`DROP VIEW ${database}.\`${name}\``);
  }
}
