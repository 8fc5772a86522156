/** Can the target be reached as it is configured, and does it hold what the analysis of commands relies on? */
import { Finding, Finding_Level } from "@sallyport/proto/catalog";
import type { Connection } from "@sallyport/proto/catalog_model";
import type { ObservedSchema } from "../catalog-state.ts";
import type { Looked } from "./doctor.ts";

/** Versions that the tests run against, first and last; what is older than `OLDEST` is not supported. */
const OLDEST = 13;
const TESTED = { first: 15, last: 18 };

export interface Examined {
  connection: Connection;
  looked: Looked;
  observed: ObservedSchema | undefined;
}

export function connectionFindings({ connection, looked, observed }: Examined): Finding[] {
  const findings = [reachable(looked, observed), transport(connection, observed)];
  if (observed === undefined) return findings;
  findings.push(version(observed.schema.serverVersion));
  const { settings } = observed.schema;
  findings.push(...settingFindings(settings));
  return findings;
}

export const finding = (
  level: Finding["level"],
  check: string,
  message: string,
  statements: readonly string[] = [],
): Finding => ({ level, check, message, statements: [...statements] });

function reachable(looked: Looked, observed: ObservedSchema | undefined): Finding {
  const { LEVEL_OK, LEVEL_PROBLEM, LEVEL_WARNING } = Finding_Level;
  const last = observed === undefined ? "it was never observed" : "what follows is of the last observation";
  if (looked === "not-asked") {
    if (observed === undefined) return finding(LEVEL_PROBLEM, "reachable", "The target was never observed.");
    return finding(LEVEL_OK, "reachable", "Not asked: this is the last observation.");
  }
  if (looked === undefined) {
    return finding(
      LEVEL_WARNING,
      "reachable",
      `No edge answered in time; ${last}. Is an edge for this protocol running?`,
    );
  }
  if (looked.problem !== undefined) {
    return finding(LEVEL_PROBLEM, "reachable", `${looked.problem.message} (${looked.problem.code}); ${last}.`);
  }
  return finding(LEVEL_OK, "reachable", `${looked.edge} has logged in and read the schema.`);
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/;

function transport({ tls, host }: Connection, observed: ObservedSchema | undefined): Finding {
  const { LEVEL_ADVICE, LEVEL_OK, LEVEL_PROBLEM, LEVEL_WARNING } = Finding_Level;
  const mode = tls?.mode || "verify-full";
  const used = observed?.schema.settings["tls"];
  const now = used === undefined ? "" : used === "" ? " (the login that observed had no TLS)" : ` (${used})`;
  if (mode === "disable" && LOOPBACK.test(host)) {
    return finding(LEVEL_ADVICE, "tls", `tls.mode is disable; the target is on the edge's own machine${now}.`);
  }
  if (mode === "disable") {
    return finding(
      LEVEL_PROBLEM,
      "tls",
      `tls.mode is disable: data and the role's password cross the network in clear${now}.`,
    );
  }
  if (mode === "require") {
    return finding(LEVEL_WARNING, "tls", `tls.mode is require: nobody checks who answers. Use verify-full${now}.`);
  }
  return finding(LEVEL_OK, "tls", `${mode}${now}`);
}

function version(text: string): Finding {
  const { LEVEL_OK, LEVEL_PROBLEM, LEVEL_WARNING } = Finding_Level;
  const major = Number.parseInt(text, 10);
  const tested = `The tests run against ${TESTED.first} to ${TESTED.last}`;
  if (!(major >= OLDEST)) return finding(LEVEL_PROBLEM, "version", `PostgreSQL ${text} is too old. ${tested}.`);
  if (major > TESTED.last) {
    return finding(
      LEVEL_WARNING,
      "version",
      `PostgreSQL ${text} is newer than what is known: its new functions and catalogs count as unknown. ${tested}.`,
    );
  }
  if (major < TESTED.first) return finding(LEVEL_WARNING, "version", `PostgreSQL ${text}. ${tested}.`);
  return finding(LEVEL_OK, "version", `PostgreSQL ${text}`);
}

function settingFindings(settings: Readonly<Record<string, string>>): Finding[] {
  const { LEVEL_OK, LEVEL_PROBLEM, LEVEL_WARNING } = Finding_Level;
  const findings: Finding[] = [];
  const strings = settings["standard_conforming_strings"] ?? "on";
  if (strings !== "on") {
    findings.push(
      finding(
        LEVEL_PROBLEM,
        "settings",
        `standard_conforming_strings is ${strings}: texts would mean something else to the server than to the gateway, so every command is refused.`,
        ["ALTER SYSTEM SET standard_conforming_strings = on;", "SELECT pg_reload_conf();"],
      ),
    );
  }
  const encoding = settings["server_encoding"] ?? "UTF8";
  if (encoding !== "UTF8") {
    findings.push(
      finding(
        LEVEL_WARNING,
        "settings",
        `The database's encoding is ${encoding}: clients must ask for UTF8 (client_encoding), commands are refused otherwise.`,
      ),
    );
  }
  if (findings.length === 0) {
    findings.push(finding(LEVEL_OK, "settings", "standard_conforming_strings is on, the encoding is UTF8"));
  }
  return findings;
}
