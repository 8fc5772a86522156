import type { ResultMask } from "@sallyport/edge";
import { encodeReport } from "../wire/encode.ts";

/**
 * Tells the client that columns of a result are masked whole because they are computed from hidden data, or it is not
 * known whether they are: a number that is masked is NULL, and NULL is an answer too.
 */

const NOTHING = Buffer.alloc(0);
/** A result has up to 1,664 columns of 63 bytes. */
const NAMED = 8;

const notices = new WeakMap<ResultMask, Buffer>();

/** NoticeResponse, the same for the same mask; empty when every column without an origin passes. */
export function wholeNotice(mask: ResultMask): Buffer {
  const known = notices.get(mask);
  if (known !== undefined) return known;
  const notice = mask.whole.length === 0 ? NOTHING : encode(mask.whole);
  notices.set(mask, notice);
  return notice;
}

function encode(names: readonly string[]): Buffer {
  const named = names.slice(0, NAMED).map(printable).join(", ");
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : "";
  const [columns, their] =
    names.length === 1
      ? ["1 column of this result is", "it is"]
      : [`${names.length} columns of this result are`, "they are"];
  return encodeReport({
    severity: "NOTICE",
    sqlstate: "00000",
    message: `${columns} masked whole (${named}${more}): ${their} computed from data that is hidden from you, or could be.`,
    hint: "What is not hidden is shown in columns that come from a table as they are.",
  });
}

/** Clients print notices as they come; a column may be named by a view, with what a terminal would obey. */
const printable = (name: string): string => name.replaceAll(/\p{C}/gu, "\u{fffd}");
