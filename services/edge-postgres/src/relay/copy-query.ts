/**
 * The query of a `COPY (query) TO STDOUT`, cut out of its text by the server's rules for strings, quoted names, dollar quotes and
 * comments (section 4.1, "Lexical Structure"). It is asked of the target what the query returns, and that has to agree with
 * what `policy` found in the whole text: a query that was cut out wrongly is refused, not shown.
 */
export interface CopyQuery {
  readonly query: string;
  /** the text with a name in place of the query: its options stand there */
  readonly rest: string;
}

export function copyQueryOf(sql: string): CopyQuery | undefined {
  const copy = afterBlank(sql, 0);
  if (!/^copy(?![A-Za-z0-9_$\u0080-\uffff])/i.test(sql.slice(copy, copy + 5))) return undefined;
  const open = afterBlank(sql, copy + 4);
  if (sql[open] !== "(") return undefined;
  let depth = 0;
  for (let at = open; at < sql.length;) {
    const sign = sql[at];
    if (sign === "(") depth += 1;
    if (sign === ")") {
      depth -= 1;
      if (depth === 0) return { query: sql.slice(open + 1, at), rest: `COPY q ${sql.slice(at + 1)}` };
    }
    const next = afterToken(sql, at);
    if (next === undefined) return undefined;
    at = next;
  }
  return undefined;
}

/** With a space for each comment, as the server reads it; undefined: something does not end. */
export function withoutComments(sql: string): string | undefined {
  let text = "";
  for (let at = 0; at < sql.length;) {
    const comment = afterComment(sql, at);
    const next = comment ?? afterToken(sql, at);
    if (next === undefined || next === "open") return undefined;
    text += comment === undefined ? sql.slice(at, next) : " ";
    at = next;
  }
  return text;
}

const LETTER = /[A-Za-z_\u0080-\uffff]/;
const WORD = /[A-Za-z0-9_$\u0080-\uffff]*/y;
const BLANK = /[ \t\n\r\f\v]*/y;
const TAG = /\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$/y;
const PLAIN_STRING = /'[^']*(?:''[^']*)*'/y;
const ESCAPED_STRING = /'[^'\\]*(?:(?:''|\\[^])[^'\\]*)*'/y;
const QUOTED_NAME = /"[^"]*(?:""[^"]*)*"/y;

/** Undefined: it does not end. */
function afterToken(sql: string, at: number): number | undefined {
  const sign = sql[at] as string;
  if (LETTER.test(sign)) {
    const end = matched(WORD, sql, at) ?? at;
    return sql[end] === "'" && end === at + 1 && /e/i.test(sign) ? matched(ESCAPED_STRING, sql, end) : end;
  }
  if (sign === "'") return matched(PLAIN_STRING, sql, at);
  if (sign === '"') return matched(QUOTED_NAME, sql, at);
  if (sign === "$") {
    const tag = matched(TAG, sql, at);
    if (tag === undefined) return at + 1;
    const close = sql.indexOf(sql.slice(at, tag), tag);
    return close < 0 ? undefined : close + tag - at;
  }
  // A number takes the letters behind it, so that `1e'…'` is not taken for an escaped string.
  if (/[0-9]/.test(sign)) return matched(WORD, sql, at);
  const comment = afterComment(sql, at);
  return comment === "open" ? undefined : (comment ?? at + 1);
}

/** Behind white space and comments. */
function afterBlank(sql: string, from: number): number {
  for (let at = from; ;) {
    const next = matched(BLANK, sql, at) ?? at;
    const comment = afterComment(sql, next);
    if (typeof comment !== "number") return next;
    at = comment;
  }
}

/** Undefined: there is none. Comments of `/*` nest. */
function afterComment(sql: string, at: number): number | "open" | undefined {
  if (sql.startsWith("--", at)) {
    const end = /[\n\r]/g;
    end.lastIndex = at;
    return end.exec(sql) === null ? "open" : end.lastIndex;
  }
  if (!sql.startsWith("/*", at)) return undefined;
  const mark = /\/\*|\*\//g;
  mark.lastIndex = at;
  let depth = 0;
  for (let found = mark.exec(sql); found !== null; found = mark.exec(sql)) {
    depth += found[0] === "/*" ? 1 : -1;
    if (depth === 0) return mark.lastIndex;
  }
  return "open";
}

function matched(pattern: RegExp, sql: string, at: number): number | undefined {
  pattern.lastIndex = at;
  return pattern.test(sql) ? pattern.lastIndex : undefined;
}
