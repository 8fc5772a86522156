/**
 * The statements of `queries/*.sql`. One ends with `;` at the end of a line; lines that begin with `--` are remarks.
 * `[[a // b // c]]` is a choice: every combination of a statement's choices is a statement.
 */

import { readFileSync, readdirSync } from "node:fs";

export interface WrittenQuery {
  file: string;
  text: string;
}

const FOLDER = new URL("queries/", import.meta.url);

export function writtenQueries(): WrittenQuery[] {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".sql"));
  return files.toSorted().flatMap((file) =>
    readFileSync(new URL(file, FOLDER), "utf8")
      .replace(/^--.*\n/gm, "")
      .split(/;\s*\n/)
      .map((text) => text.trim())
      .filter((text) => text !== "")
      .flatMap(choices)
      .map((text) => ({ file, text })),
  );
}

export function choices(text: string): string[] {
  const found = /\[\[(.*?)\]\]/s.exec(text);
  if (found === null) return [text.replace(/ +$/, "")];
  const [whole, inside = ""] = found;
  return inside
    .split("//")
    .flatMap((one) => choices(text.slice(0, found.index) + one.trim() + text.slice(found.index + whole.length)));
}
