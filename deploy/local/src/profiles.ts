import { connectApi } from "@sallyport/cli/api";
import { Home, type Deployment, type Profile } from "@sallyport/cli/home";
import { loginWithBrowser } from "@sallyport/cli/session-login";
import type { Account } from "./accounts.ts";
import { headlessLogin } from "./idp/headless-login.ts";
import type { Stack } from "./stack.ts";

/** Where the CLI finds this deployment. */
export function deploymentOf(stack: Stack): Deployment {
  const { ports } = stack;
  return {
    name: "local",
    ca: stack.pki.ca,
    identity: `localhost:${ports.identityPublic}`,
    catalog: `localhost:${ports.catalogPublic}`,
    approval: `localhost:${ports.approvalPublic}`,
    audit: `localhost:${ports.auditPublic}`,
    postgres: `localhost:${ports.edgePostgres}`,
  };
}

/** Signs each demo account in as a person would, at the identity provider's own pages, and keeps the profile. */
export async function prepareProfiles(stack: Stack): Promise<ReadonlyMap<string, Profile>> {
  const home = new Home(stack.layout.root);
  const deployment = deploymentOf(stack);
  home.saveDeployment(deployment);
  const api = connectApi(deployment);
  try {
    const profiles = await Promise.all(
      stack.accounts.map((account) => loginWithBrowser(api, account.name, (url) => visit(stack, account, url))),
    );
    for (const profile of profiles) home.saveProfile(profile, { makeCurrent: profile.name === "engineer" });
    return new Map(profiles.map((profile) => [profile.name, profile]));
  } finally {
    api.close();
  }
}

async function visit(stack: Stack, account: Account, authorizationUrl: string): Promise<void> {
  const callback = await headlessLogin(authorizationUrl, {
    account: account.name,
    password: account.password,
    ca: stack.pki.ca,
  });
  await fetch(callback);
}
