/**
 * Which questions people may ask. Nothing here reads SQL: ClickHouse's own parser does. A question is rewritten by it in its
 * canonical form (`formatQuerySingleLine`, which takes it as a value and runs nothing), that form is taken apart by it
 * (`EXPLAIN AST`), every node of it must be on a list, and it is that form, not what was typed, that is run.
 */
import { allowedTableFunctions, isAllowedFunction } from "./allowed-functions.ts";

/** Why a question is refused, as a sentence for the one who asked. */
export interface Refusal {
  kind: "refused";
  message: string;
}
export type Checked = { kind: "allowed" } | Refusal;

/** A line of `EXPLAIN AST`, in its place. */
interface Node {
  /** e.g. `Function`, `TableIdentifier` */
  type: string;
  /** what follows the type: a name, an alias */
  rest: string;
  /** how many children the engine says it has */
  stated: number;
  children: Node[];
}

export const MAX_QUERY_BYTES = 64 * 1024;
const MAX_NODES = 20_000;

/** Nodes that hold nothing but other nodes, or constants. */
const plainNodes = new Set([
  "SelectWithUnionQuery",
  "SelectIntersectExceptQuery",
  "SelectQuery",
  "ExpressionList",
  "TablesInSelectQuery",
  "TablesInSelectQueryElement",
  "TableExpression",
  "TableJoin",
  "ArrayJoin",
  "Subquery",
  "WithElement",
  "Literal",
  "Asterisk",
  "QualifiedAsterisk",
  "OrderByElement",
  "StorageOrderByElement",
  "WindowDefinition",
  "WindowListElement",
  "SampleRatio",
  "ColumnsExceptTransformer",
  "ColumnsTransformerList",
  "InterpolateElement",
]);
/** Databases of the server. Another one's name before a dot can only mean a table of it. */
const databases = new Set([
  "storage",
  "log",
  "log_revealed",
  "system",
  "information_schema",
  "default",
  "_local",
  "_temporary_and_external_tables",
]);
/** System tables that say nothing about anybody. */
const harmlessSystemTables = new Set(["system.one", "system.numbers"]);
const showTables = /^SHOW TABLES(?: (?:NOT )?I?LIKE '[^'\\]*')?$/;
const explainKinds = new Set([
  "EXPLAIN",
  "EXPLAIN AST",
  "EXPLAIN SYNTAX",
  "EXPLAIN PLAN",
  "EXPLAIN PIPELINE",
  "EXPLAIN QUERY TREE",
  "EXPLAIN ESTIMATE",
]);

/**
 * @param ast answer of `EXPLAIN AST` for the canonical form
 * @param canonical the form that is going to be run
 * @param database the one that this reader's views are in
 */
export function checkAst(ast: string, canonical: string, database: string): Checked {
  if (/\{\s*\w+\s*:\s*Identifier\s*\}/i.test(canonical)) return refuse("a parameter cannot stand for a name");
  const root = parseAst(ast);
  if (root === undefined) return refuse("it cannot be taken apart");
  // the tree says the same of all forms of SHOW
  if (root.type === "ShowTables")
    return showTables.test(canonical)
      ? { kind: "allowed" }
      : refuse("of SHOW, only SHOW TABLES is allowed, without FROM");
  return checkStatement(root, database);
}

function checkStatement(root: Node, database: string): Checked {
  switch (root.type) {
    case "SelectWithUnionQuery":
      // more than the selects themselves: INTO OUTFILE, FORMAT or SETTINGS
      if (root.children.length !== 1) return refuse("INTO OUTFILE, FORMAT and SETTINGS are not allowed");
      return checkNode(root, undefined, database);
    case "Explain": {
      const kind = root.rest.trim();
      const [inner] = root.children;
      if (!explainKinds.has(kind) || inner === undefined || root.children.length !== 1)
        return refuse("this form of EXPLAIN is not allowed");
      return checkStatement(inner, database);
    }
    case "DescribeQuery":
      if (root.children.length !== 1) return refuse("this form of DESCRIBE is not allowed");
      return checkNode(root.children[0] as Node, root, database);
    default:
      return refuse("only SELECT, WITH, EXPLAIN, DESCRIBE and SHOW TABLES are allowed");
  }
}

function checkNode(node: Node, parent: Node | undefined, database: string): Checked {
  const own = checkOwn(node, parent, database);
  if (own.kind === "refused") return own;
  for (const child of node.children) {
    const checked = checkNode(child, node, database);
    if (checked.kind === "refused") return checked;
  }
  return { kind: "allowed" };
}

function checkOwn(node: Node, parent: Node | undefined, database: string): Checked {
  const name = withoutAlias(node.rest);
  switch (node.type) {
    case "Function":
      if (parent?.type === "TableExpression") {
        return allowedTableFunctions.has(name)
          ? { kind: "allowed" }
          : refuse(`the table function ${name} is not allowed`);
      }
      return isAllowedFunction(name) ? { kind: "allowed" } : refuse(`the function ${name} is not allowed`);
    case "TableIdentifier":
      return checkTable(name, database);
    case "Identifier": {
      const first = name.split(".")[0] ?? "";
      if (name.includes(".") && databases.has(first.toLowerCase()) && first !== database)
        return refuse(`${first} cannot be asked`);
      return { kind: "allowed" };
    }
    case "Set":
      return refuse("SETTINGS is not allowed");
    default:
      return plainNodes.has(node.type) ? { kind: "allowed" } : refuse(`${node.type} is not allowed`);
  }
}

function checkTable(name: string, database: string): Checked {
  const parts = name.split(".");
  if (parts.length === 1 || parts[0] === database || harmlessSystemTables.has(name)) return { kind: "allowed" };
  return refuse(`the table ${name} cannot be asked`);
}

const withoutAlias = (rest: string): string => rest.trim().replace(/ \(alias .*\)$/, "");

/**
 * `Type rest (children n)`, one space deeper for each level. Names are printed as they are: one with line ends in it could
 * put lines of its own between the real ones. It cannot take real ones away, so the numbers of children no longer fit then.
 */
function parseAst(text: string): Node | undefined {
  const stack: Node[] = [];
  let root: Node | undefined;
  let nodes = 0;
  for (const line of text.trimEnd().split("\n")) {
    const depth = line.length - line.trimStart().length;
    const match = /^([\w:]+)( .*?)??(?: \(children (\d+)\))?$/.exec(line.slice(depth));
    if (match === null || depth > stack.length || ++nodes > MAX_NODES) return undefined;
    const node: Node = { type: match[1] as string, rest: match[2] ?? "", stated: Number(match[3] ?? 0), children: [] };
    if (depth === 0) {
      if (root !== undefined) return undefined;
      root = node;
    } else (stack[depth - 1] as Node).children.push(node);
    stack.length = depth;
    stack.push(node);
  }
  return root !== undefined && asStated(root) ? root : undefined;
}

const asStated = (node: Node): boolean => node.children.length === node.stated && node.children.every(asStated);

const refuse = (message: string): Refusal => ({ kind: "refused", message });
