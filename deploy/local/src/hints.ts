import { homeFolder } from "@sallyport/cli/home";
import { conninfo } from "./story/clients.ts";
import type { Stack } from "./stack.ts";

/** What a newcomer can try on the running gateway. `ready` names the accounts that have a profile. */
export function hints(stack: Stack, ready: ReadonlySet<string>): string {
  const { root } = stack.layout;
  const elsewhere = !foundByItself(root);
  const cli = elsewhere ? `SALLYPORT_HOME=${quoted(root)} npx sallyport` : "npx sallyport";
  const fresh = `npm start -- --fresh${elsewhere ? ` --state ${quoted(root)}` : ""}`;
  const offboarded = stack.accounts.filter(({ name }) => !ready.has(name)).map(({ name }) => name);
  const accounts = stack.accounts
    .map((account) => `  ${account.name.padEnd(11)} ${account.password.padEnd(26)} ${account.role}`)
    .join("\n");
  return `
Everything is running. State: ${root} (${fresh} forgets it). Ctrl-C stops everything.

Accounts at the identity provider (name, password); a CLI profile is ready for each${offboarded.length > 0 ? ` but ${offboarded.join(", ")}` : ""}:
${accounts}
${offboarded.map((name) => bringBack(name, cli)).join("")}
Try:
  ${cli} --profile engineer connections
  ${cli} --profile engineer psql orders
  ${cli} --profile dba approvals --watch
  ${cli} --profile security sessions
  ${cli} --profile security sql "SELECT * FROM incident_timeline ORDER BY at DESC LIMIT 20"
  ${cli} --profile security plan -f deploy/local/catalog

With psql alone:
  PGPASSWORD=$(${cli} --profile engineer token) psql "${conninfo(stack, "engineer", "orders")}"
`;
}

function bringBack(name: string, cli: string): string {
  return `
${name} is offboarded, as step 6 of the story does; the next story begins by bringing it back. By hand:
  ${cli} --profile security reinstate --principal user:${name}
  ${cli} login --profile ${name}
`;
}

/** Whether the CLI takes this folder here when it is told nothing, in this terminal and in a new one. */
function foundByItself(root: string): boolean {
  return [process.env, {}].every((env) => homeFolder(env) === root);
}

/** For a shell. */
function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
