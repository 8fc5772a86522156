import type { Find } from "./find.ts";

const BEGIN = "-----BEGIN ";
const END = "-----END ";
/** A label of PEM or OpenPGP armour (RFC 7468 section 3, RFC 9580 section 6.2) is far shorter. */
const LABEL_LIMIT = 64;

/** Private keys in PEM, OpenSSH and OpenPGP armour, and PuTTY's format. A block without its end reaches to the text's end. */
export function findPrivateKeys(text: string): Find[] {
  const finds: Find[] = [];
  for (let start = text.indexOf(BEGIN); start !== -1; start = text.indexOf(BEGIN, start + BEGIN.length)) {
    const label = text.slice(start + BEGIN.length, start + BEGIN.length + LABEL_LIMIT);
    if (!/^[A-Z0-9 ]{0,40}PRIVATE KEY/.test(label)) continue;
    const footer = text.indexOf(END, start);
    const close = footer === -1 ? -1 : text.indexOf("-----", footer + END.length);
    const end = close === -1 || close - footer > LABEL_LIMIT + END.length ? text.length : close + 5;
    finds.push({ detector: "private-key", start, end });
    start = end - BEGIN.length;
  }
  const putty = text.indexOf("PuTTY-User-Key-File-");
  if (putty !== -1) finds.push({ detector: "private-key", start: putty, end: puttyEnd(text, putty) });
  return finds;
}

function puttyEnd(text: string, start: number): number {
  const mac = text.indexOf("Private-MAC:", start);
  if (mac === -1) return text.length;
  const line = text.indexOf("\n", mac);
  return line === -1 ? text.length : line;
}
