import { AppError } from "@sallyport/runtime";
import type { ClickHouse } from "../clickhouse/clickhouse.ts";
import { literal } from "../clickhouse/literal.ts";
import type { ReaderDatabase } from "../clickhouse/views.ts";
import { checkAst, MAX_QUERY_BYTES } from "./allow-list.ts";

export interface Question {
  sql: string;
  /** values of {name:Type} */
  parameters: Readonly<Record<string, string>>;
  /** 0: the limit */
  maxRows: number;
}

export interface QueryLimits {
  maxRows: number;
  maxResultBytes: number;
  maxSeconds: number;
  maxMemoryBytes: number;
}

export interface Answer {
  names: string[];
  types: string[];
  /** each a JSON array */
  rows: string[];
  truncated: boolean;
}

const OP = "audit.query";
const MAX_PARAMETERS = 64;
const MAX_PARAMETER_BYTES = 64 * 1024;

/**
 * Asks the log.
 * @throws AppError `invalid-input` (what is wrong with the question), `not-permitted` (what may not be asked),
 *   `exhausted` (a limit), `deadline`
 */
export async function ask(
  clickhouse: ClickHouse,
  question: Question,
  database: ReaderDatabase,
  limits: QueryLimits,
  signal: AbortSignal,
): Promise<Answer> {
  checkSizes(question);
  const canonical = await canonicalForm(clickhouse, question.sql);
  const maxRows = Math.min(question.maxRows === 0 ? limits.maxRows : question.maxRows, limits.maxRows);
  const person = await clickhouse
    .person(database, settingsFor(limits, maxRows), question.parameters, signal)
    .catch((error: unknown) => {
      throw readable(error);
    });
  try {
    const ast = await person.ask(`EXPLAIN AST ${canonical}`, "TabSeparatedRaw");
    const checked = checkAst(ast, canonical, database);
    if (checked.kind === "refused")
      throw new AppError("not-permitted", OP, `This may not be asked: ${checked.message}.`);
    return parseAnswer(await person.ask(canonical, "JSONCompactEachRowWithNamesAndTypes"), maxRows);
  } catch (error) {
    throw readable(error);
  } finally {
    await person.close();
  }
}

function checkSizes({ sql, parameters }: Question): void {
  if (sql.trim() === "") throw new AppError("invalid-input", OP, "There is no question.");
  if (Buffer.byteLength(sql) > MAX_QUERY_BYTES)
    throw new AppError("invalid-input", OP, `The question is longer than ${MAX_QUERY_BYTES / 1024} KiB.`);
  const names = Object.keys(parameters);
  if (names.length > MAX_PARAMETERS) throw new AppError("invalid-input", OP, `More than ${MAX_PARAMETERS} parameters.`);
  for (const name of names) {
    if (!/^[A-Za-z_]\w{0,63}$/.test(name))
      throw new AppError("invalid-input", OP, "A parameter's name is letters, digits and _.");
    if (Buffer.byteLength(parameters[name] ?? "") > MAX_PARAMETER_BYTES)
      throw new AppError("invalid-input", OP, `The parameter ${name} is too long.`);
  }
}

/** ClickHouse's own spelling of one statement; it is a value here, and nothing of it is run. */
async function canonicalForm(clickhouse: ClickHouse, sql: string): Promise<string> {
  try {
    const [row] = await clickhouse.read.rows<{ form: string }>(
      `SELECT formatQuerySingleLine(${literal(sql.replace(/;\s*$/, ""))}) AS form`,
    );
    return row?.form ?? "";
  } catch (error) {
    throw readable(error);
  }
}

function settingsFor(limits: QueryLimits, maxRows: number): Record<string, number | string> {
  return {
    max_execution_time: limits.maxSeconds,
    max_memory_usage: limits.maxMemoryBytes,
    // one more than is shown, so that it is known when there are more
    limit: maxRows + 1,
    max_result_bytes: limits.maxResultBytes,
    result_overflow_mode: "throw",
    max_threads: 2,
    // of a question over many views most of the time is planning
    compile_expressions: 0,
    compile_aggregate_expressions: 0,
    compile_sort_description: 0,
    enable_join_runtime_filters: 0,
    max_ast_depth: 500,
    max_ast_elements: 20_000,
    max_expanded_ast_elements: 200_000,
    max_recursive_cte_evaluation_depth: 100,
    max_temporary_data_on_disk_size_for_query: 1 << 30,
    output_format_json_quote_64bit_integers: 0,
    output_format_json_quote_denormals: 1,
    session_timezone: "UTC",
    date_time_output_format: "simple",
  };
}

function parseAnswer(text: string, maxRows: number): Answer {
  const lines = text.split("\n").filter((line) => line !== "");
  const [names, types, ...rows] = lines;
  return {
    names: names === undefined ? [] : (JSON.parse(names) as string[]),
    types: types === undefined ? [] : (JSON.parse(types) as string[]),
    rows: rows.slice(0, maxRows),
    truncated: rows.length > maxRows,
  };
}

/** The engine's errors by what the reader can do about them (https://clickhouse.com/docs/native-protocol/server#exception). */
const codes: Readonly<Record<string, [code: "deadline" | "exhausted" | "not-permitted", sentence: string]>> = {
  TIMEOUT_EXCEEDED: [
    "deadline",
    "The question takes longer than is allowed. Narrow it, for example by `at` or `session_id`.",
  ],
  TOO_SLOW: ["deadline", "The question takes longer than is allowed. Narrow it, for example by `at` or `session_id`."],
  MEMORY_LIMIT_EXCEEDED: [
    "exhausted",
    "The question needs more memory than is allowed. Narrow it, or select fewer columns.",
  ],
  TOO_MANY_ROWS_OR_BYTES: ["exhausted", "The answer is larger than is allowed. Narrow it, or aggregate."],
  READONLY: ["not-permitted", "This may not be asked: the log is read only, and settings cannot be changed."],
  QUERY_WAS_CANCELLED: ["deadline", "The question was ended before it was answered."],
  QUERY_IS_PROHIBITED: ["not-permitted", "This may not be asked."],
};

function readable(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const full = error instanceof Error ? error.message : String(error);
  const type = error !== null && typeof error === "object" && "type" in error ? String(error.type) : "";
  const known = codes[type];
  if (known !== undefined) return new AppError(known[0], OP, known[1], { cause: error });
  const text = full
    .replace(/^(?:Code: \d+\. )?(?:DB::Exception: )*/, "")
    .replace(/: (?:While processing|In scope)[^]*$/, "")
    .replace(/\s*\(version [^)]*\)/g, "")
    .replace(/\bstorage\.\w+/g, "the log")
    .slice(0, 600);
  return new AppError("invalid-input", OP, text === "" ? "The question is not understood." : text, { cause: error });
}
