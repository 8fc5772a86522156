import { connectApi, type Api } from "@sallyport/cli/api";
import type { Profile } from "@sallyport/cli/home";
import type { Stack } from "@sallyport/local";
import { openLog, type Log } from "@sallyport/local/log";
import { SERVICE_NAMES, type ServiceName } from "@sallyport/local/ports";
import { deploymentOf, prepareProfiles } from "@sallyport/local/profiles";
import { untilLogin } from "../clients.ts";
import { libpqEnvironment, type Contender, type LibpqEnvironment } from "./contender.ts";
import { requirePid } from "./direct.ts";

/** Everything on: policy, masking, recording in full, audit's ingestion. */
export interface Sallyport extends Contender {
  readonly name: "sallyport";
  readonly api: Api;
  readonly log: Pick<Log, "ask">;
  /** A demo account's profile. Tokens last an hour: `signIn` again in a long run. */
  profile(name: string): Profile;
  envOf(profile: string, tls: boolean): LibpqEnvironment;
  /** where a service shows its metrics to Prometheus */
  metricsUrl(service: ServiceName): string;
  edgePid(): number;
  auditPid(): number;
  signIn(): Promise<void>;
  stop(): Promise<void>;
}

/** From whom the benchmark's classes are hidden. */
const CLIENT_PROFILE = "engineer";

export async function sallyport(stack: Stack): Promise<Sallyport> {
  let profiles = await prepareProfiles(stack);
  const api = connectApi(deploymentOf(stack));
  const profile = (name: string): Profile => {
    const found = profiles.get(name);
    if (found === undefined) throw new Error(`no profile ${name}`);
    return found;
  };
  const envOf = (name: string, tls: boolean): LibpqEnvironment => {
    const { user, token } = profile(name);
    const server = { host: "localhost", port: stack.ports.edgePostgres, database: "bench", user, password: token };
    return libpqEnvironment(server, tls ? stack.pki.ca : undefined);
  };
  try {
    await untilLogin(envOf(CLIENT_PROFILE, true), () => true);
  } catch (error) {
    api.close();
    throw error;
  }
  return {
    name: "sallyport",
    api,
    log: { ask: (...question) => openLog(api, profile("security")).ask(...question) },
    profile,
    env: (tls) => envOf(CLIENT_PROFILE, tls),
    envOf,
    processes: () =>
      ["postgres", "nats-server", ...SERVICE_NAMES].map((name) => ({ name, pid: requirePid(stack, name) })),
    metricsUrl: (service) => `http://127.0.0.1:${stack.ports.metrics[service]}/metrics`,
    edgePid: () => requirePid(stack, "edge-postgres"),
    auditPid: () => requirePid(stack, "audit"),
    async signIn() {
      profiles = await prepareProfiles(stack);
    },
    stop: async () => api.close(),
  };
}
