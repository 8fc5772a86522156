import { conninfo } from "./story/clients.ts";
import type { Stack } from "./stack.ts";

/** What a newcomer can try on the running gateway. `ready` names the accounts that have a profile. */
export function hints(stack: Stack, ready: ReadonlySet<string>): string {
  const offboarded = stack.accounts.filter(({ name }) => !ready.has(name)).map(({ name }) => name);
  const accounts = stack.accounts
    .map((account) => `  ${account.name.padEnd(11)} ${account.password.padEnd(26)} ${account.role}`)
    .join("\n");
  return `
Everything is running. State: ${stack.layout.root} (npm start -- --fresh forgets it). Ctrl-C stops everything.

Accounts at the identity provider (name, password); a CLI profile is ready for each${offboarded.length > 0 ? ` but ${offboarded.join(", ")}` : ""}:
${accounts}
${offboarded.map(bringBack).join("")}
Try:
  npx sallyport --profile engineer connections
  npx sallyport --profile engineer psql orders
  npx sallyport --profile dba approvals --watch
  npx sallyport --profile security sessions
  npx sallyport --profile security sql "SELECT * FROM incident_timeline ORDER BY at DESC LIMIT 20"
  npx sallyport --profile security plan -f deploy/local/catalog

With psql alone:
  PGPASSWORD=$(npx sallyport --profile engineer token) psql "${conninfo(stack, "engineer", "orders")}"
`;
}

function bringBack(name: string): string {
  return `
${name} is offboarded, as step 6 of the story does; the next story begins by bringing it back. By hand:
  npx sallyport --profile security reinstate --principal user:${name}
  npx sallyport login --profile ${name}
`;
}
