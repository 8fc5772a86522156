import { encodeReport, encodeNotification } from "../wire/encode.ts";
import type { MessageFields } from "../wire/backend.ts";
import { conditionName, isKnownSqlstate } from "../wire/sqlstate.ts";

/**
 * Texts of the target that stand beside rows, for principals from whom something is hidden: a value may stand in an
 * error's text, a notice, a notification's payload, a reported setting, even in a SQLSTATE that code has chosen.
 */

/** Severity, SQLSTATE and position stay; the words are ours. */
export function scrubReport(fields: MessageFields, isError: boolean): Buffer {
  const severity = severityOf(fields.get("V") ?? fields.get("S"), isError);
  const said = fields.get("C") ?? "";
  const sqlstate = isKnownSqlstate(said) ? said : `${knownClass(said)}000`;
  const position = fields.get("P");
  return encodeReport({
    severity,
    sqlstate,
    message: `${conditionName(sqlstate)} at the target`,
    detail: "The target's own words are withheld, because data that is hidden from you could stand in them.",
    ...(position !== undefined && /^\d{1,9}$/.test(position) ? { position } : {}),
  });
}

const SEVERITIES = ["ERROR", "FATAL", "PANIC", "WARNING", "NOTICE", "DEBUG", "INFO", "LOG"] as const;
type Severity = (typeof SEVERITIES)[number];

function severityOf(said: string | undefined, isError: boolean): Severity {
  return SEVERITIES.find((s) => s === said) ?? (isError ? "ERROR" : "NOTICE");
}

function knownClass(sqlstate: string): string {
  const of = sqlstate.slice(0, 2);
  return conditionName(`${of}000`) === "error" ? "XX" : of;
}

/** The channel is one that the client has asked for by name; the payload is withheld. */
export function scrubNotification(processId: number, channel: string): Buffer {
  return encodeNotification(processId, channel, "");
}

const BOOLEAN = new Set(["on", "off"]);
const reported: Readonly<Record<string, (value: string) => boolean>> = {
  client_encoding: (v) => /^[A-Z0-9_]{1,20}$/i.test(v),
  DateStyle: (v) => /^(ISO|SQL|Postgres|German), (MDY|DMY|YMD)$/.test(v),
  IntervalStyle: (v) => ["sql_standard", "postgres", "postgres_verbose", "iso_8601"].includes(v),
  TimeZone: (v) => v === "GMT" || v === "UTC" || v === "Etc/UTC" || zones().has(v),
  default_transaction_read_only: (v) => BOOLEAN.has(v),
  in_hot_standby: (v) => BOOLEAN.has(v),
  integer_datetimes: (v) => BOOLEAN.has(v),
  is_superuser: (v) => BOOLEAN.has(v),
  scram_iterations: (v) => /^\d{1,10}$/.test(v),
  standard_conforming_strings: (v) => BOOLEAN.has(v),
};

let known: ReadonlySet<string> | undefined;
const zones = (): ReadonlySet<string> => (known ??= new Set(Intl.supportedValuesOf("timeZone")));

/**
 * May this reported setting be passed? Only values from a fixed list: `set_config('application_name', email, false)`
 * makes the server report whatever it is given.
 */
export function mayReport(name: string, value: string): boolean {
  return reported[name]?.(value) ?? false;
}
