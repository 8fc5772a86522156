import { isAscii, isUtf8 } from "node:buffer";
import type { DetectorName } from "../detect/find.ts";
import type { CellTransform } from "../plan/executable-plan.ts";
import { strictness } from "../plan/strictness.ts";
import { asValueOf, escapeXml, JSONB_VERSION } from "../plan/value-type.ts";
import type { KeyedHash } from "../transform/keyed-hash.ts";
import { partialText, REDACTED } from "../transform/partial.ts";
import type { DetectorSet } from "./detector-set.ts";
import type { Stretch } from "./resolve-finds.ts";
import { scanJson } from "./scan-json.ts";
import { scanText, unscanned, type ScanRules } from "./scan-text.ts";

export interface CellTools {
  find: DetectorSet;
  hash: KeyedHash;
  /** Bytes of one cell that detectors look at; what is beyond is replaced by a note. */
  maxScanBytes: number;
}

/** Masks the cells of one column, not NULL. Takes turns (`yield`), so that a huge cell does not hold up other sessions. */
export type CellMask = (cell: Buffer) => Generator<void, Buffer>;

export function cellMask(transform: CellTransform, connection: string, tools: CellTools): CellMask {
  if (transform.kind === "hash") {
    const { value, prefix } = transform;
    // oxlint-disable-next-line require-yield -- one hash is one turn
    return function* (cell) {
      // The same token in either format: binary jsonb is its text behind a version byte.
      const text = value === "jsonb-binary" ? cell.subarray(JSONB_VERSION.length) : cell;
      return Buffer.from(asValueOf(value, tools.hash.token(connection, prefix, text)));
    };
  }
  return scanCell(transform, connection, tools);
}

function scanCell(transform: CellTransform & { kind: "scan" }, connection: string, tools: CellTools): CellMask {
  const rules: ScanRules = {
    find: tools.find,
    wanted: new Set(transform.wanted),
    revealed: new Set(transform.revealed),
    replace: replacer(transform, connection, tools.hash),
  };
  const { value } = transform;
  const whole = (text: string): Buffer => Buffer.from(asValueOf(value, text));
  return function* (cell) {
    const { text, rest } = decode(cell, tools.maxScanBytes);
    if (text === undefined) return whole(REDACTED);
    if (value === "json" || value === "jsonb-binary") {
      // half a JSON document is none
      if (rest > 0) return whole(unscanned(cell.length));
      const versioned = value === "jsonb-binary";
      if (versioned && !text.startsWith(JSONB_VERSION)) return whole(REDACTED);
      const json = versioned ? text.slice(1) : text;
      const masked = yield* scanJson(json, rules);
      if (masked === undefined) return whole(REDACTED);
      return masked === json ? cell : Buffer.from((versioned ? JSONB_VERSION : "") + masked);
    }
    const masked = yield* scanText(text, rules);
    if (rest > 0) return Buffer.from(`${masked}\n${unscanned(rest)}`);
    return masked === text ? cell : Buffer.from(masked);
  };
}

/** Text of the bytes that are looked at, and how many are not. Undefined: not UTF-8. */
function decode(cell: Buffer, limit: number): { text: string | undefined; rest: number } {
  if (cell.length > limit) {
    let end = limit;
    while (end > 0 && ((cell[end] ?? 0) & 0xc0) === 0x80) end--;
    const head = cell.subarray(0, end);
    return { text: isUtf8(head) ? head.toString("utf8") : undefined, rest: cell.length - end };
  }
  if (isAscii(cell)) return { text: cell.toString("latin1"), rest: 0 };
  return { text: isUtf8(cell) ? cell.toString("utf8") : undefined, rest: 0 };
}

function replacer(
  transform: CellTransform & { kind: "scan" },
  connection: string,
  hash: KeyedHash,
): (stretch: Stretch, value: string) => string {
  const escape = transform.value === "xml" ? escapeXml : (text: string): string => text;
  return (stretch, value) => {
    // of several classes in one place the strictest decides, as for columns
    const [detector] = stretch.detectors.toSorted(
      (a, b) => strictness(transform.transforms[b]) - strictness(transform.transforms[a]),
    );
    if (detector === undefined) return escape(REDACTED);
    return escape(replaceFind(transform, detector, stretch.whole, value, connection, hash));
  };
}

function replaceFind(
  transform: CellTransform & { kind: "scan" },
  detector: DetectorName,
  whole: boolean,
  value: string,
  connection: string,
  hash: KeyedHash,
): string {
  const label = `[${detector}]`;
  const kind = transform.transforms[detector]?.kind;
  if (!whole) return label;
  switch (kind?.$case) {
    case "partial":
      return partialText(value, kind.value);
    case "hash":
      return hash.token(connection, kind.value.prefix, Buffer.from(value));
    case "redact":
      return kind.value.replacement === "" ? label : kind.value.replacement;
    case "nullify":
    case "scan":
    case undefined:
      return label;
  }
}
