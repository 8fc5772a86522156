import { NO_USER, type Refusal } from "./login-wording.ts";

/**
 * What a client may say in its startup packet, and what of it reaches the target. A startup parameter is a SET without a
 * decision, so only those pass that change how data is shown or how long things may take; everything else is refused, for
 * a client that asked for it would otherwise believe that it has it.
 */
export interface StartupRequest {
  readonly user: string;
  readonly connection: string;
  /** empty: the connection's default */
  readonly database: string;
  readonly applicationName: string;
  /** for the target, in order */
  readonly parameters: readonly (readonly [string, string])[];
  /** `_pq_.` protocol options, all of them unknown here */
  readonly protocolOptions: readonly string[];
}

/** Lower-case names of settings that pass as they are. */
const passed: ReadonlySet<string> = new Set([
  "application_name",
  "bytea_output",
  "datestyle",
  "default_transaction_deferrable",
  "default_transaction_isolation",
  "default_transaction_read_only",
  "extra_float_digits",
  "fallback_application_name",
  "geqo",
  "idle_in_transaction_session_timeout",
  "idle_session_timeout",
  "intervalstyle",
  "jit",
  "lc_monetary",
  "lc_numeric",
  "lc_time",
  "lock_timeout",
  "plan_cache_mode",
  "search_path",
  "statement_timeout",
  "tcp_user_timeout",
  "timezone",
  "transaction_timeout",
  "work_mem",
]);

const LONGEST_VALUE = 1024;
const MAX_OPTIONS = 32;

export function readStartup(parameters: ReadonlyMap<string, string>): StartupRequest | Refusal {
  const user = parameters.get("user") ?? "";
  if (user === "") return NO_USER;
  const [connection = "", ...rest] = (parameters.get("database") ?? user).split("/");
  const settings: (readonly [string, string])[] = [];
  const protocolOptions: string[] = [];
  for (const [name, value] of parameters) {
    switch (name) {
      case "user":
      case "database":
        break;
      case "replication":
        // What the server takes for no: an ordinary connection.
        if (/^(off|false|no|0|f|n)$/i.test(value)) break;
        return REPLICATION;
      case "options": {
        const options = splitOptions(value);
        if (options === undefined) return refused("options", "only -c name=value and --name=value are understood");
        settings.push(...options);
        break;
      }
      default:
        if (name.startsWith("_pq_.")) protocolOptions.push(name);
        else settings.push([name, value]);
    }
  }
  const checked = checkSettings(settings);
  if ("sqlstate" in checked) return checked;
  return {
    user,
    connection,
    database: rest.join("/"),
    applicationName: (parameters.get("application_name") ?? parameters.get("fallback_application_name") ?? "").slice(
      0,
      64,
    ),
    parameters: checked,
    protocolOptions,
  };
}

/** The stream of a replication holds every table's every value: nothing of it could be decided or masked. */
const REPLICATION: Refusal = {
  sqlstate: "0A000",
  message: "replication connections do not pass this gateway: what they carry can neither be decided nor masked",
  hint: "Connect without the parameter `replication`. Replicas connect to the server itself.",
};

function checkSettings(settings: readonly (readonly [string, string])[]): (readonly [string, string])[] | Refusal {
  // Analysed text is UTF-8, whatever the client would like.
  const checked: (readonly [string, string])[] = [["client_encoding", "UTF8"]];
  if (settings.length > MAX_OPTIONS) return refused("options", "too many settings");
  for (const [name, value] of settings) {
    const lower = name.toLowerCase();
    if (value.length > LONGEST_VALUE) return refused(name, "the value is too long");
    if (lower === "client_encoding") {
      // SQL_ASCII is what a client without a locale says: it takes whatever comes.
      if (/^('?)(utf-?8|unicode|sql_ascii|auto)\1$/i.test(value)) continue;
      return refused(name, "texts are analysed as UTF-8, so only UTF8 is possible", "Set PGCLIENTENCODING=UTF8.");
    }
    if (lower === "standard_conforming_strings") {
      if (/^(on|true|yes|1)$/i.test(value)) continue;
      return refused(name, "statements are analysed with it on, so it must stay on");
    }
    if (!passed.has(lower))
      return refused(name, "it may not be set when connecting", "Leave it out, or SET it in the session.");
    checked.push([lower === "fallback_application_name" ? "application_name" : lower, value]);
  }
  return checked;
}

function refused(name: string, why: string, hint?: string): Refusal {
  return { sqlstate: "22023", message: `startup parameter "${name.slice(0, 64)}" is refused: ${why}`, hint };
}

/**
 * The `options` of a startup packet, as the server splits them (pg_split_opts): words at white space, a backslash takes
 * the next character as it is; `-c name=value` or `--name=value`, `-` in a long name standing for `_`. Undefined: other.
 */
export function splitOptions(options: string): (readonly [string, string])[] | undefined {
  const words: string[] = [];
  let word = "";
  let inWord = false;
  for (let i = 0; i < options.length; i++) {
    const c = options[i] as string;
    if (/\s/.test(c)) {
      if (inWord) words.push(word);
      word = "";
      inWord = false;
      continue;
    }
    inWord = true;
    if (c === "\\" && i + 1 < options.length) i += 1;
    word += options[i];
  }
  if (inWord) words.push(word);
  const settings: (readonly [string, string])[] = [];
  for (let i = 0; i < words.length; i++) {
    let text = words[i] as string;
    if (text === "-c") text = words[(i += 1)] ?? "";
    else if (text.startsWith("-c")) text = text.slice(2);
    else if (text.startsWith("--")) text = text.slice(2);
    else return undefined;
    const equals = text.indexOf("=");
    if (equals <= 0) return undefined;
    settings.push([text.slice(0, equals).replaceAll("-", "_"), text.slice(equals + 1)]);
  }
  return settings;
}
