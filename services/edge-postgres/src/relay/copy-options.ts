import { copyQueryOf, withoutComments } from "./copy-query.ts";

/**
 * The options of `COPY … TO STDOUT`, read from a text that `policy` has already parsed as one COPY of a plain table; of a query, a
 * name stands in its place (`copy-query.ts`).
 * Conservative: whatever is not understood for certain gives undefined, and then the COPY is refused to principals from
 * whom something is hidden. https://www.postgresql.org/docs/18/sql-copy.html
 */
export type CopyFormat = LinesFormat | { readonly format: "binary"; readonly header: false };

export interface LinesFormat {
  readonly format: "text" | "csv";
  /** one byte */
  readonly delimiter: number;
  /** what stands for NULL, as it stands in the data */
  readonly nullText: Buffer;
  /** the first line names the columns */
  readonly header: boolean;
  /** csv only, one byte each */
  readonly quote: number;
  readonly escape: number;
}

interface Settings {
  format: string;
  delimiter: string | undefined;
  nullText: string | undefined;
  header: boolean;
  quote: string | undefined;
  escape: string | undefined;
}

type Token = { readonly kind: "word" | "string" | "sign"; readonly text: string };

export function copyFormatOf(sql: string): CopyFormat | undefined {
  const text = withoutComments(copyQueryOf(sql)?.rest ?? sql);
  const tokens = text === undefined ? undefined : tokensOf(text);
  if (tokens === undefined) return undefined;
  if (isSign(tokens.at(-1), ";")) tokens.pop();
  if (tokens.some((t) => isSign(t, ";")) || !isWord(tokens[0], "copy")) return undefined;
  // The last `TO STDOUT` outside strings and quoted names: the table and its columns stand before it.
  const to = tokens.findIndex((t, i) => isWord(t, "to") && isWord(tokens[i + 1], "stdout"));
  if (to < 0) return undefined;
  let rest = tokens.slice(to + 2);
  if (isWord(rest[0], "with")) rest = rest.slice(1);
  const settings: Settings = {
    format: "text",
    delimiter: undefined,
    nullText: undefined,
    header: false,
    quote: undefined,
    escape: undefined,
  };
  const understood = isSign(rest[0], "(") ? readList(rest, settings) : readLegacy(rest, settings);
  return understood ? formatOf(settings) : undefined;
}

const isSign = (token: Token | undefined, sign: string): boolean => token?.kind === "sign" && token.text === sign;
const isWord = (token: Token | undefined, word: string): boolean => token?.kind === "word" && token.text === word;

/** `( name [value] [, …] )` */
function readList(tokens: readonly Token[], settings: Settings): boolean {
  if (!isSign(tokens.at(-1), ")")) return false;
  const inside = tokens.slice(1, -1);
  if (inside.length === 0) return false;
  let option: Token[] = [];
  for (const token of [...inside, { kind: "sign", text: "," } as const]) {
    if (isSign(token, "(") || isSign(token, ")")) return false;
    if (!isSign(token, ",")) {
      option.push(token);
      continue;
    }
    const [name, value, more] = option;
    if (name?.kind !== "word" || more !== undefined || !setOption(settings, name.text, value)) return false;
    option = [];
  }
  return true;
}

/** What was the syntax before version 9.0, which psql's \copy and old tools still use. */
function readLegacy(tokens: readonly Token[], settings: Settings): boolean {
  for (let i = 0; i < tokens.length;) {
    const token = tokens[i] as Token;
    if (token.kind !== "word") return false;
    i += 1;
    if (token.text === "csv" || token.text === "binary") settings.format = token.text;
    else if (token.text === "header") settings.header = true;
    else if (["delimiter", "null", "quote", "escape"].includes(token.text)) {
      if (isWord(tokens[i], "as")) i += 1;
      if (!setOption(settings, token.text, tokens[i])) return false;
      i += 1;
    } else return false;
  }
  return true;
}

function setOption(settings: Settings, name: string, value: Token | undefined): boolean {
  switch (name) {
    case "format":
      if (value?.text !== "text" && value?.text !== "csv" && value?.text !== "binary") return false;
      settings.format = value.text;
      return true;
    case "header":
      if (value !== undefined && !["true", "on", "1", "false", "off", "0"].includes(value.text)) return false;
      settings.header = value === undefined || ["true", "on", "1"].includes(value.text);
      return true;
    case "encoding":
      return value?.kind === "string" && /^utf-?8$/i.test(value.text);
    case "delimiter":
    case "quote":
    case "escape":
      if (value?.kind !== "string") return false;
      settings[name] = value.text;
      return true;
    case "null":
      if (value?.kind !== "string") return false;
      settings.nullText = value.text;
      return true;
    default:
      return false;
  }
}

function formatOf(settings: Settings): CopyFormat | undefined {
  if (settings.format === "binary") {
    // The server has none of the others with it.
    const others = [settings.delimiter, settings.nullText, settings.quote, settings.escape];
    return settings.header || others.some((value) => value !== undefined)
      ? undefined
      : { format: "binary", header: false };
  }
  const csv = settings.format === "csv";
  const delimiter = oneByte(settings.delimiter ?? (csv ? "," : "\t"));
  const quote = oneByte(settings.quote ?? '"');
  const escape = oneByte(settings.escape ?? settings.quote ?? '"');
  if (delimiter === undefined || quote === undefined || escape === undefined) return undefined;
  if (!csv && (settings.quote !== undefined || settings.escape !== undefined)) return undefined;
  const nullText = Buffer.from(settings.nullText ?? (csv ? "" : "\\N"));
  if (/[\r\n]/.test(settings.nullText ?? "") || nullText.includes(delimiter)) return undefined;
  return { format: csv ? "csv" : "text", delimiter, nullText, header: settings.header, quote, escape };
}

/** ASCII, and nothing that ends a line. */
function oneByte(text: string): number | undefined {
  const byte = text.length === 1 ? text.charCodeAt(0) : 0;
  return byte === 0 || byte > 0x7e || byte === 0x0a || byte === 0x0d ? undefined : byte;
}

/** Words in lower case, strings without their quotes, quoted names as strings of kind `sign`; undefined: not understood. */
function tokensOf(sql: string): Token[] | undefined {
  const tokens: Token[] = [];
  const pattern = /\s+|([A-Za-z_][A-Za-z0-9_]*)|'((?:[^'\\]|'')*)'|("(?:[^"]|"")+")|([().,;]|\d+)|([^])/gy;
  for (let match = pattern.exec(sql); match !== null; match = pattern.exec(sql)) {
    const [, word, string, name, sign, other] = match;
    if (other !== undefined) return undefined;
    if (word !== undefined) {
      // E'\t' and its like: a prefix glued to a string
      if (sql[pattern.lastIndex] === "'" || sql[pattern.lastIndex] === "&") {
        const delimiter = /^'(\\t|[^'\\])'/.exec(sql.slice(pattern.lastIndex));
        if (word.toLowerCase() !== "e" || delimiter === null) return undefined;
        tokens.push({ kind: "string", text: delimiter[1] === "\\t" ? "\t" : (delimiter[1] as string) });
        pattern.lastIndex += delimiter[0].length;
      } else tokens.push({ kind: "word", text: word.toLowerCase() });
    } else if (string !== undefined) tokens.push({ kind: "string", text: string.replaceAll("''", "'") });
    else if (name !== undefined) tokens.push({ kind: "sign", text: name });
    else if (sign !== undefined) tokens.push({ kind: "sign", text: sign });
  }
  return tokens;
}
