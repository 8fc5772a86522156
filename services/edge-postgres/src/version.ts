import { readFileSync } from "node:fs";

/** As package.json says. */
export const GATEWAY_VERSION: string = (
  JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string }
).version;

/** Startup parameters of the gateway's own logins. */
export const OBSERVER: readonly (readonly [string, string])[] = [
  ["application_name", "sallyport (schema)"],
  ["client_encoding", "UTF8"],
];
