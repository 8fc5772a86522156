import type { Find } from "./find.ts";
import { isAlphanumeric } from "./find.ts";

/** A credential that is known by how it begins: the characters after the prefix, and how many there are at least. */
interface PrefixedKey {
  prefix: string;
  charset: "alphanumeric" | "base64url" | "upper" | "dotted";
  minimum: number;
  exact?: number;
}

// The issuers' documented formats.
const PREFIXED: readonly PrefixedKey[] = [
  ...["AKIA", "ASIA", "AGPA", "AIDA", "AROA", "ANPA"].map(
    (prefix): PrefixedKey => ({ prefix, charset: "upper", minimum: 16, exact: 16 }), // AWS
  ),
  ...["ghp_", "gho_", "ghu_", "ghs_", "ghr_"].map((prefix): PrefixedKey => ({
    prefix,
    charset: "alphanumeric",
    minimum: 30,
  })),
  { prefix: "github_pat_", charset: "base64url", minimum: 22 },
  { prefix: "glpat-", charset: "base64url", minimum: 20 },
  ...["xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xapp-"].map(
    (prefix): PrefixedKey => ({ prefix, charset: "base64url", minimum: 10 }), // Slack
  ),
  { prefix: "AIza", charset: "base64url", minimum: 35 },
  { prefix: "ya29.", charset: "base64url", minimum: 20 },
  { prefix: "sk_live_", charset: "alphanumeric", minimum: 16 },
  { prefix: "sk_test_", charset: "alphanumeric", minimum: 16 },
  { prefix: "rk_live_", charset: "alphanumeric", minimum: 16 },
  { prefix: "whsec_", charset: "base64url", minimum: 16 },
  { prefix: "sk-ant-", charset: "base64url", minimum: 20 },
  { prefix: "sk-proj-", charset: "base64url", minimum: 20 },
  { prefix: "npm_", charset: "alphanumeric", minimum: 36 },
  { prefix: "pypi-", charset: "base64url", minimum: 50 },
  { prefix: "hf_", charset: "alphanumeric", minimum: 30 },
  { prefix: "dop_v1_", charset: "alphanumeric", minimum: 60 },
  { prefix: "hvs.", charset: "base64url", minimum: 20 },
  { prefix: "SG.", charset: "dotted", minimum: 40 },
  { prefix: "AGE-SECRET-KEY-1", charset: "upper", minimum: 50 },
  { prefix: "spt_", charset: "base64url", minimum: 16 }, // Sallyport's own personal tokens
];

const BY_FIRST_TWO = Map.groupBy(PREFIXED, (key) => key.prefix.slice(0, 2));

/** Access keys and tokens by their form: prefixed keys, JSON web tokens, passwords in URLs and connection strings. */
export function findAccessKeys(text: string): Find[] {
  return [...findPrefixed(text), ...findJsonWebTokens(text), ...findUrlPasswords(text), ...findAssigned(text)];
}

function findPrefixed(text: string): Find[] {
  const finds: Find[] = [];
  for (let index = 0; index < text.length - 8; index++) {
    const candidates = BY_FIRST_TWO.get(text.slice(index, index + 2));
    const key = candidates?.find((candidate) => text.startsWith(candidate.prefix, index));
    if (!key || (index > 0 && isAlphanumeric(text.charCodeAt(index - 1)))) continue;
    const end = runEnd(text, index + key.prefix.length, key.charset);
    const length = end - index - key.prefix.length;
    if (length < key.minimum || (key.exact !== undefined && length !== key.exact)) continue;
    finds.push({ detector: "access-key", start: index, end });
    index = end - 1;
  }
  return finds;
}

/** Longer than any key that is issued; what follows in the same run is seen by the next find's start or not at all. */
const LONGEST_RUN = 16_384;

function runEnd(text: string, from: number, charset: PrefixedKey["charset"]): number {
  let end = from;
  while (end < text.length && end - from < LONGEST_RUN && isOf(text.charCodeAt(end), charset)) end++;
  return end;
}

function isOf(code: number, charset: PrefixedKey["charset"]): boolean {
  if (charset === "upper") return (code >= 0x41 && code <= 0x5a) || (code >= 0x30 && code <= 0x39);
  if (isAlphanumeric(code)) return true;
  if (charset === "alphanumeric") return false;
  return code === 0x2d || code === 0x5f || (charset === "dotted" && code === 0x2e);
}

/** JSON web tokens (RFC 7519): three or five base64url parts, the first a JSON object (`eyJ`). A run is looked at once. */
function findJsonWebTokens(text: string): Find[] {
  const finds: Find[] = [];
  for (let start = text.indexOf("eyJ"); start !== -1; start = text.indexOf("eyJ", start)) {
    let end = start;
    while (end < text.length && isOf(text.charCodeAt(end), "dotted")) end++;
    const parts = text.slice(start, end).split(".");
    if (parts.length >= 3 && parts[0]!.length >= 10 && parts[1]!.length >= 2) {
      while (text[end - 1] === ".") end--;
      finds.push({ detector: "access-key", start, end });
    }
    start = end;
  }
  return finds;
}

/**
 * `scheme://user:password@host`: user and password, so that nothing of the credential remains. A password may hold any
 * character but white space and quotes; what was looked at for one `://` is not looked at again for the next.
 */
function findUrlPasswords(text: string): Find[] {
  const finds: Find[] = [];
  for (let mark = text.indexOf("://"); mark !== -1;) {
    const { colon, at, end } = userInfo(text, mark + 3);
    if (at !== -1 && colon !== -1 && colon + 1 < at) finds.push({ detector: "access-key", start: mark + 3, end: at });
    mark = text.indexOf("://", Math.max(end, mark + 3));
  }
  return finds;
}

const URL_ENDS = new Set([..." \t\r\n\"'<>`"].map((c) => c.charCodeAt(0)));
const HOST_ENDS = new Set([..."/?#"].map((c) => c.charCodeAt(0)));
const AT = 0x40;
const COLON = 0x3a;

/** The last `@` of the authority and the first `:` before it (RFC 3986 section 3.2.1, and unescaped passwords). */
function userInfo(text: string, start: number): { colon: number; at: number; end: number } {
  let colon = -1;
  let at = -1;
  let end = start;
  for (; end < text.length; end++) {
    const code = text.charCodeAt(end);
    if (URL_ENDS.has(code)) break;
    if (code === AT) at = end;
    else if (code === COLON && colon === -1) colon = end;
    // before any `:` this ends the host; between `:` and `@` it may be part of a password
    else if (HOST_ENDS.has(code) && (at !== -1 || colon === -1)) break;
  }
  return { colon, at, end };
}

// one name, one separator, one run of characters: every part is bounded
const ASSIGNED =
  /(?<![A-Za-z0-9])(?:aws_secret_access_key|secret_access_key|secretaccesskey|accountkey|sharedaccesskey|password|passwd|pwd|client_secret|api[_-]?key|access[_-]?token|auth[_-]?token)["']?\s{0,3}(?:=|:|=>)\s{0,3}["']?([^\s"',;&]{6,512})/gi;
const BEARER = /\bbearer\s{1,3}([A-Za-z0-9._~+/-]{16,4096}=*)/gi;

function findAssigned(text: string): Find[] {
  const finds: Find[] = [];
  for (const pattern of [ASSIGNED, BEARER]) {
    for (const match of text.matchAll(pattern)) {
      const end = match.index + match[0].length;
      finds.push({ detector: "access-key", start: end - (match[1]?.length ?? 0), end });
    }
  }
  return finds;
}
