/**
 * What a masked value must be valid as. PostgreSQL's clients decode by type, so a mask must be a value of the column's
 * type: text stays text, JSON stays JSON, and what cannot hold a mask (numbers, dates, arrays, composites) becomes NULL.
 */
export type ValueKind = "text" | "json" | "jsonb-binary" | "xml" | "other";

// pg_type.dat: built-in types with fixed oids
const TEXT = new Set([25 /* text */, 1043 /* varchar */, 1042 /* bpchar */, 19 /* name */, 705 /* unknown */]);
const JSON_OID = 114;
const JSONB_OID = 3802;
const XML_OID = 142;

/** Extension types have no fixed oid; `typeName` is what the schema was observed to call it. */
export function valueKind(typeOid: number, typeName: string | undefined, binary: boolean): ValueKind {
  if (TEXT.has(typeOid)) return "text";
  if (typeOid === JSON_OID) return "json";
  if (typeOid === JSONB_OID) return binary ? "jsonb-binary" : "json";
  if (typeOid === XML_OID) return "xml";
  if (typeName !== undefined && /(^|\.)"?citext"?$/.test(typeName)) return "text";
  return "other";
}

/** jsonb_send writes one version byte before the text. */
export const JSONB_VERSION = "\u0001";

/** `text` in the shape that a value of the kind has on the wire, as UTF-8. */
export function asValueOf(kind: Exclude<ValueKind, "other">, text: string): string {
  switch (kind) {
    case "text":
      return text;
    case "xml":
      return escapeXml(text);
    case "json":
      return JSON.stringify(text);
    case "jsonb-binary":
      return JSONB_VERSION + JSON.stringify(text);
  }
}

export function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
