import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectApi, type Api } from "@sallyport/cli/api";
import type { Deployment, Profile } from "@sallyport/cli/home";
import { freePorts, type Ports } from "@sallyport/local/ports";
import { deploymentOf, prepareProfiles } from "@sallyport/local/profiles";
import { startStack, type Stack, type StackOptions } from "@sallyport/local";

/** A whole gateway in a folder and on ports of its own, for one test run. */
export interface Gateway {
  readonly stack: Stack;
  readonly profiles: ReadonlyMap<string, Profile>;
  readonly api: Api;
  stop(): Promise<void>;
}

/** What a test in another process needs to reach the gateway. Plain data. */
export interface GatewayAddress {
  readonly ports: Ports;
  readonly stateDir: string;
  readonly ca: string;
  readonly deployment: Deployment;
  readonly profiles: Readonly<Record<string, Profile>>;
  readonly target: { readonly host: string; readonly port: number; readonly user: string; readonly password: string };
  readonly statementLog: string;
}

declare module "vitest" {
  interface ProvidedContext {
    gateway: GatewayAddress;
  }
}

export async function startGateway(options: Partial<StackOptions> = {}): Promise<Gateway> {
  const stateDir = await mkdtemp(join(tmpdir(), "sallyport-test-"));
  const stack = await startStack({ stateDir, ports: await freePorts(), ...options });
  try {
    const profiles = await prepareProfiles(stack);
    const api = connectApi(deploymentOf(stack));
    return {
      stack,
      profiles,
      api,
      stop: async () => {
        api.close();
        await stack.forget();
      },
    };
  } catch (error) {
    await stack.forget();
    throw error;
  }
}

export function addressOf({ stack, profiles }: Gateway): GatewayAddress {
  return {
    ports: stack.ports,
    stateDir: stack.layout.root,
    ca: stack.pki.ca,
    deployment: deploymentOf(stack),
    profiles: Object.fromEntries(profiles),
    target: {
      host: stack.target.host,
      port: stack.target.port,
      user: stack.target.appUser,
      password: stack.target.appPassword,
    },
    statementLog: stack.target.statementLog,
  };
}
