import { connectApi, type Api } from "@sallyport/cli/api";
import { Home, type Deployment, type Profile } from "@sallyport/cli/home";
import { loginWithBrowser } from "@sallyport/cli/session-login";
import { AppError } from "@sallyport/runtime";
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

/**
 * Signs each demo account in as a person would, at the identity provider's own pages, and keeps the profile. An account
 * that was offboarded (the story does that to one) has none.
 */
export async function prepareProfiles(stack: Stack): Promise<Map<string, Profile>> {
  const home = new Home(stack.layout.root);
  const deployment = deploymentOf(stack);
  home.saveDeployment(deployment);
  const api = connectApi(deployment);
  try {
    const profiles = new Map<string, Profile>();
    await Promise.all(
      stack.accounts.map(async (account) => {
        const profile = await signIn(stack, api, account);
        if (profile === undefined) home.removeProfile(account.name);
        else profiles.set(account.name, profile);
      }),
    );
    for (const profile of profiles.values()) home.saveProfile(profile, { makeCurrent: profile.name === "engineer" });
    return profiles;
  } finally {
    api.close();
  }
}

/** Signs one account in and keeps its profile; throws when it may not. */
export async function prepareProfile(stack: Stack, api: Api, account: Account): Promise<Profile> {
  const profile = await loginWithBrowser(api, account.name, (url) => visit(stack, account, url));
  new Home(stack.layout.root).saveProfile(profile, { makeCurrent: false });
  return profile;
}

async function signIn(stack: Stack, api: Api, account: Account): Promise<Profile | undefined> {
  try {
    return await loginWithBrowser(api, account.name, (url) => visit(stack, account, url));
  } catch (error) {
    const failure = AppError.from(error, "local.profiles");
    if (failure.code === "unauthenticated" || failure.code === "not-permitted") return undefined;
    throw failure;
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
