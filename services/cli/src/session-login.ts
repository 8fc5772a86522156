import { spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import type { FinishLoginResponse } from "@sallyport/proto/identity";
import type { Principal } from "@sallyport/proto/principal";
import { AppError } from "@sallyport/runtime";
import { call, type Api } from "./api.ts";
import type { Profile } from "./home.ts";
import { createPkce, listenOnLoopback } from "./loopback.ts";

/** Takes a person to the identity provider and returns the callback URL's arrival; a browser, or a test's own driver. */
export type Visit = (authorizationUrl: string) => Promise<void>;

/** Authorization code with PKCE, caught on loopback. */
export async function loginWithBrowser(api: Api, profileName: string, visit: Visit): Promise<Profile> {
  const pkce = createPkce();
  const loopback = await listenOnLoopback();
  try {
    const started = await call(api.access, api.access.startLogin, {
      redirectUri: loopback.redirectUri,
      codeChallenge: pkce.challenge,
    });
    await visit(started.authorizationUrl);
    const callbackUrl = await loopback.callback;
    const finished = await call(api.access, api.access.finishLogin, {
      loginId: started.loginId,
      callbackUrl,
      codeVerifier: pkce.verifier,
    });
    return profileOf(profileName, finished.token, finished.principal);
  } finally {
    loopback.close();
  }
}

export interface DevicePrompt {
  readonly userCode: string;
  readonly verificationUri: string;
  readonly verificationUriComplete: string;
}

/** Device authorization (RFC 8628): for terminals without a browser. */
export async function loginWithDevice(
  api: Api,
  profileName: string,
  show: (prompt: DevicePrompt) => void,
): Promise<Profile> {
  const started = await call(api.access, api.access.startDeviceLogin, {});
  show(started);
  let intervalSeconds = Math.max(1, started.intervalSeconds);
  while (Date.now() < started.expiresAtMs) {
    await delay(intervalSeconds * 1000);
    const answer = await call(api.access, api.access.pollDeviceLogin, { loginId: started.loginId });
    if (!answer.pending) return profileOf(profileName, answer.token, answer.principal);
    intervalSeconds = Math.max(intervalSeconds, answer.intervalSeconds);
  }
  throw new AppError(
    "deadline",
    "cli.login",
    "The code was not entered in time. Start again with `sallyport login --device`.",
  );
}

/** Opens the person's browser; the address is always shown too, for when there is none. */
export function openBrowser(url: string): void {
  const command = process.platform === "darwin" ? "open" : "xdg-open";
  const child = spawn(command, [url], { stdio: "ignore", detached: true });
  child.on("error", () => undefined);
  child.unref();
}

function profileOf(name: string, token: FinishLoginResponse["token"], principal: Principal | undefined): Profile {
  if (token === undefined || principal === undefined) {
    throw new AppError("internal", "cli.login", "The gateway's answer to the login was incomplete. Ask its operators.");
  }
  return {
    name,
    principal: principal.id,
    user: principal.name,
    token: token.token,
    tokenId: token.tokenId,
    expiresAtMs: token.expiresAtMs,
  };
}
