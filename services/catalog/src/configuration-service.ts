import {
  ConfigurationServiceService,
  type ApplyRequest,
  type ApplyResponse,
  type ConnectionInfo,
  type PlanResponse,
  type SourceFile,
} from "@sallyport/proto/catalog";
import type { Connection } from "@sallyport/proto/catalog_model";
import type { Principal } from "@sallyport/proto/principal";
import type { Store } from "@sallyport/decider";
import { AppError, service, type Callers, type EventFollower, type GrpcService } from "@sallyport/runtime";
import type { CatalogState } from "./catalog-state.ts";
import type { Checked } from "./configuration/check-files.ts";
import { changesBetween } from "./configuration/changes.ts";
import type { ApplyConfiguration, ConfigurationState } from "./configuration/configuration-decider.ts";
import { doctor, type DoctorParts } from "./doctor/doctor.ts";
import { explain, type ExplainParts } from "./explain/explain.ts";
import { configurationDigest, planDigest } from "./configuration/digest.ts";

export interface ConfigurationParts {
  state: CatalogState;
  follower: Pick<EventFollower, "seq" | "waitFor">;
  store: Store<ConfigurationState, ApplyConfiguration>;
  callers: Callers;
  check(files: readonly SourceFile[], signal?: AbortSignal): Promise<Checked>;
  explain: ExplainParts;
  doctor: DoctorParts;
}

export const CONFIGURATION = "main";
const OWN_FOLD_MS = 2_000;
const AT_ONCE = 16;

/** For people: the one door for configuration, the connections that they may use, and how things stand there. */
export function configurationService(parts: ConfigurationParts): GrpcService {
  const { callers } = parts;
  return service({
    definition: ConfigurationServiceService,
    handlers: {
      plan: async (request, call) => {
        await callers.requireAction(await callers.callerOf(call), "configure", "", call.signal);
        return plan(request.files, parts, call.signal);
      },
      apply: async (request, call) => {
        const caller = await callers.callerOf(call);
        await callers.requireAction(caller, "configure", "", call.signal);
        return apply(request, caller.principal.id, parts, call.signal);
      },
      listConnections: async (_request, call) => {
        const caller = await callers.callerOf(call);
        return { connections: await usable(caller.principal, parts, call.signal) };
      },
      explain: (request, call) => explain(request, call, parts.explain),
      doctor: (request, call) => doctor(request, call, parts.doctor),
    },
  });
}

async function plan(
  files: readonly SourceFile[],
  parts: ConfigurationParts,
  signal: AbortSignal,
): Promise<PlanResponse> {
  const { configuration, problems } = await parts.check(files, signal);
  if (problems.length > 0) return { problems, changes: [], digest: "" };
  const { state } = await parts.store.load(CONFIGURATION);
  const changes = changesBetween(state.configuration, configuration);
  return { problems: [], changes, digest: planDigest(state.digest, configurationDigest(configuration)) };
}

async function apply(
  request: ApplyRequest,
  cause: string,
  parts: ConfigurationParts,
  signal: AbortSignal,
): Promise<ApplyResponse> {
  const { store, follower } = parts;
  const { configuration, problems } = await parts.check(request.files, signal);
  if (problems.length > 0) return { problems, changes: [], digest: "", asOf: follower.seq() };
  const before = await store.load(CONFIGURATION);
  const command: ApplyConfiguration = { configuration, expectedPlan: request.expectedDigest, onlyFirst: false };
  const handled = await store.handle(CONFIGURATION, command, { cause });
  if (handled.kind === "refused") throw new AppError(handled.code, "catalog.apply", handled.message);
  await follower.waitFor(handled.seq, OWN_FOLD_MS);
  const changes = handled.events.length > 0 ? changesBetween(before.state.configuration, configuration) : [];
  return { problems: [], changes, digest: handled.state.digest, asOf: handled.seq };
}

/** Asked of policy one by one: who may connect is not the catalog's to know. */
async function usable(
  principal: Principal,
  { state, callers }: ConfigurationParts,
  signal: AbortSignal,
): Promise<ConnectionInfo[]> {
  const connections = [...state.connections];
  const allowed: boolean[] = [];
  for (let from = 0; from < connections.length; from += AT_ONCE) {
    const answers = connections
      .slice(from, from + AT_ONCE)
      .map((c) => callers.authorize(principal, "connect", c.name, signal));
    for (const answer of await Promise.all(answers)) allowed.push(answer.allowed);
  }
  return connections.filter((_, i) => allowed[i]).map(connectionInfo);
}

function connectionInfo({
  name,
  protocol,
  databases,
  defaultDatabase,
  labels,
  description,
}: Connection): ConnectionInfo {
  return {
    name,
    protocol,
    databases: [defaultDatabase, ...databases.filter((d) => d !== defaultDatabase)],
    labels,
    description,
  };
}
