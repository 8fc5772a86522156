import type { Problem } from "@sallyport/proto/catalog";
import { isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, visit, type Document, type Node } from "yaml";
import { interpolate } from "./interpolate.ts";

/** A key path into a document, as zod gives it. */
export type Path = readonly PropertyKey[];

/** One parsed YAML file: its value, and where each part of it stands. */
export interface YamlSource {
  path: string;
  value: unknown;
  problems: Problem[];
  /** A problem with the part at `at`; with `key`, at that key itself. */
  problem(at: Path, message: string, key?: string): Problem;
}

const MOST_ALIASES = 50;

/** Parses YAML 1.2 (core schema, no duplicate keys, no merge keys), with `${NAME}` replaced from `variables`. */
export function parseYaml(path: string, text: string, variables: Readonly<Record<string, string>>): YamlSource {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    version: "1.2",
    schema: "core",
    uniqueKeys: true,
    merge: false,
  });
  const problemAt = (offset: number | undefined, message: string): Problem => {
    const { line, col } = offset === undefined ? { line: 0, col: 0 } : lines.linePos(offset);
    return { path, line, column: col, message };
  };
  const problems = [...document.errors, ...document.warnings].map((error) =>
    problemAt(error.pos[0], firstLine(error.message)),
  );
  if (problems.length === 0) {
    visit(document, {
      Scalar: (key, node) => {
        if (key === "key" || typeof node.value !== "string") return;
        const result = interpolate(node.value, variables, node.type === "PLAIN");
        if ("problem" in result) problems.push(problemAt(node.range?.[0], result.problem));
        else node.value = result.value;
      },
    });
  }
  let value: unknown;
  try {
    value = problems.length === 0 ? (document.toJS({ maxAliasCount: MOST_ALIASES }) as unknown) : undefined;
  } catch (error) {
    problems.push(problemAt(undefined, error instanceof Error ? firstLine(error.message) : "cannot be read"));
  }
  return { path, value, problems, problem: (at, message, key) => problemAt(offsetOf(document, at, key), message) };
}

const firstLine = (message: string): string =>
  (message.split("\n")[0] ?? message).replace(/ at line \d+, column \d+:?$/, "");

/** Where the part at `path` begins: as deep as the document has it. A map's entry begins at its key. */
function offsetOf(document: Document.Parsed, path: Path, key: string | undefined): number | undefined {
  let node: Node | null | undefined = document.contents;
  let offset = node?.range?.[0];
  for (const step of key === undefined ? path : [...path, key]) {
    if (isMap(node)) {
      const pair = node.items.find(
        (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(step),
      );
      if (!pair || !isScalar(pair.key)) return offset;
      offset = pair.key.range?.[0] ?? offset;
      node = pair.value as Node | null;
    } else if (isSeq(node)) {
      node = node.items[Number(step)] as Node | undefined;
      offset = node?.range?.[0] ?? offset;
    } else return offset;
  }
  // the value itself, where it stands on its own; a key without a value is its key
  return isScalar(node) && key === undefined ? (node.range?.[0] ?? offset) : offset;
}
