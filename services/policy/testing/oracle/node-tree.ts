/**
 * The server's printed trees (nodeToString, src/backend/nodes/outfuncs.c) as data: `{TAG :field value …}`, lists in
 * parentheses, `<>` for nothing. Written for PostgreSQL 18; a field that it does not know is kept like any other.
 */

export interface TreeNode {
  tag: string;
  fields: Record<string, TreeValue>;
}

/** A word, a node, a list, nothing; a field of several words (constants, `4 [ 1 0 0 0 ]`) is a list of them. */
export type TreeValue = string | TreeNode | TreeValue[] | null;

export const isNode = (value: TreeValue | undefined): value is TreeNode =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const SPACE = 32;
const NEWLINE = 10;
const OPEN = 40;
const CLOSE = 41;
const BEGIN = 123;
const END = 125;
const BACKSLASH = 92;

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** "" at the end */
  next(): string {
    const text = this.#text;
    let at = this.#at;
    while (text.charCodeAt(at) === SPACE || text.charCodeAt(at) === NEWLINE) at++;
    const from = at;
    let escaped = false;
    for (; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === BACKSLASH) {
        // Whatever follows belongs to the word.
        escaped = true;
        at++;
        continue;
      }
      if (code === SPACE || code === NEWLINE) break;
      if (code === OPEN || code === CLOSE || code === BEGIN || code === END) {
        if (at === from) at++;
        break;
      }
    }
    this.#at = at;
    const word = text.slice(from, at);
    return escaped ? word.replace(/\\([^])/g, "$1") : word;
  }

  value(word: string): TreeValue {
    if (word === "<>") return null;
    if (word === "{") return this.#node();
    if (word === "(") return this.#list();
    return word;
  }

  #list(): TreeValue[] {
    const list: TreeValue[] = [];
    for (let word = this.next(); word !== ")"; word = this.next()) {
      if (word === "") throw new Error("a tree ends inside of a list");
      list.push(this.value(word));
    }
    return list;
  }

  #node(): TreeNode {
    const node: TreeNode = { tag: this.next(), fields: {} };
    let field = "";
    for (let word = this.next(); word !== "}"; word = this.next()) {
      if (word === "") throw new Error(`a tree ends inside of ${node.tag}`);
      if (word.startsWith(":")) {
        field = word.slice(1);
        continue;
      }
      const value = this.value(word);
      const before = node.fields[field];
      if (before === undefined) node.fields[field] = value;
      else if (Array.isArray(before)) before.push(value);
      else node.fields[field] = [before, value];
    }
    return node;
  }
}

/** @throws when the text is no tree */
export function parseTree(text: string): TreeValue {
  const reader = new Reader(text);
  const tree = reader.value(reader.next());
  if (typeof tree === "string") throw new Error(`not a tree: ${tree.slice(0, 40)}`);
  return tree;
}

export function nodeOf(node: TreeNode, field: string): TreeNode | undefined {
  const value = node.fields[field];
  return isNode(value) ? value : undefined;
}

export function listOf(node: TreeNode, field: string): TreeValue[] {
  const value = node.fields[field];
  return Array.isArray(value) ? value : [];
}

export const nodesOf = (node: TreeNode, field: string): TreeNode[] => listOf(node, field).filter(isNode);

/** A list's strings are printed in quotes, single words are not. */
export function wordOf(node: TreeNode, field: string): string {
  const value = node.fields[field];
  return typeof value === "string" ? value : "";
}

export const numberOf = (node: TreeNode, field: string): number => Number(wordOf(node, field) || 0);

export const flagOf = (node: TreeNode, field: string): boolean => wordOf(node, field) === "true";

/** Nodes directly below one, whatever they are for. */
export function childrenOf(node: TreeNode): TreeNode[] {
  const found: TreeNode[] = [];
  const gather = (value: TreeValue): void => {
    if (Array.isArray(value)) for (const part of value) gather(part);
    else if (isNode(value)) found.push(value);
  };
  for (const value of Object.values(node.fields)) gather(value);
  return found;
}
