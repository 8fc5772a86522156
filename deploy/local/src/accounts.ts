import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { preparePassword } from "./keys.ts";
import type { Layout } from "./layout.ts";

/** A demo account at the local identity provider. */
export interface Account {
  readonly name: string;
  readonly groups: readonly string[];
  readonly password: string;
  readonly role: string;
}

const DEMO: readonly { name: string; groups: readonly string[]; role: string }[] = [
  { name: "engineer", groups: ["engineers"], role: "works with the orders database; sees customers masked" },
  { name: "dba", groups: ["dba"], role: "approves risky commands; sees more in clear" },
  { name: "security", groups: ["security"], role: "asks the log, revokes access, applies configuration" },
  { name: "contractor", groups: ["contractors"], role: "reads masked data; made the nightly job's token" },
];

export function accountsFile(layout: Layout): string {
  return join(layout.idp, "accounts.json");
}

/** Generates a password for each account once and writes the provider's account file. */
export function prepareAccounts(layout: Layout): readonly Account[] {
  const accounts = DEMO.map((account) => ({
    ...account,
    password: preparePassword(layout.secrets, `account-${account.name}`).password,
  }));
  const entries = accounts.map(({ name, groups, password }) => ({ name, groups, password }));
  writeFileSync(accountsFile(layout), JSON.stringify({ accounts: entries }, null, 2) + "\n", { mode: 0o600 });
  return accounts;
}
