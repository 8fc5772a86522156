import { createHash } from "node:crypto";
import { Configuration, Schema } from "@sallyport/proto/catalog_model";

/** `sha256:…` over a configuration's canonical content: keys in order, defaults left out, so that new fields change nothing. */
export function configurationDigest(configuration: Configuration): string {
  return digestOf(Configuration.toJSON(configuration));
}

/** Of a plan: what is in force and what would be, so that it fits only where it was made. */
export function planDigest(current: string, next: string): string {
  return digestOf([current, next]);
}

export function schemaDigest(schema: Schema): string {
  return digestOf(Schema.toJSON(schema));
}

function digestOf(value: unknown): string {
  return `sha256:${createHash("sha256").update(canonicalJson(value)).digest("hex")}`;
}

/** One text for one meaning: values from files and from events differ in the order of their keys. */
export const canonicalJson = (value: unknown): string => JSON.stringify(sorted(value));

/** RFC 8785's order of keys; the values are strings, booleans and integers only, which JSON writes in one way. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
