import { createHash } from "node:crypto";
import { Configuration, type Schema } from "@sallyport/proto/catalog_model";
import { Schema as SchemaCodec } from "@sallyport/proto/catalog_model";

/** `sha256:…` over a configuration's canonical content: keys in order, defaults left out, so that new fields change nothing. */
export function configurationDigest(configuration: Configuration): string {
  return digestOf(Configuration.toJSON(configuration));
}

/** Of a plan: what is in force and what would be, so that it fits only where it was made. */
export function planDigest(current: string, next: string): string {
  return digestOf([current, next]);
}

export function schemaDigest(schema: Schema): string {
  return digestOf(SchemaCodec.toJSON(schema));
}

function digestOf(value: unknown): string {
  return `sha256:${createHash("sha256")
    .update(JSON.stringify(sorted(value)))
    .digest("hex")}`;
}

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
