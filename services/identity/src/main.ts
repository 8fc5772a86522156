import { openStore } from "@sallyport/decider";
import { PolicyServiceClient } from "@sallyport/proto/policy";
import { eventsOfKind, eventsOfService } from "@sallyport/proto/subjects";
import { AppError, callUnary, followEvents, resolveSecret, startRuntime, tally } from "@sallyport/runtime";
import { readFile } from "node:fs/promises";
import { accessService } from "./access-service.ts";
import { AccessTokens } from "./access-token.ts";
import { Authenticator } from "./authenticator.ts";
import { BackchannelLogout } from "./backchannel-logout.ts";
import { identityConfig } from "./config.ts";
import { Directory } from "./directory.ts";
import { Exchange } from "./exchange.ts";
import { Freshness } from "./freshness.ts";
import { listenHttps } from "./https-listener.ts";
import { identityService } from "./identity-service.ts";
import { Logins } from "./login.ts";
import { principalDecider } from "./principal-aggregate.ts";
import { Provider } from "./provider.ts";
import { Revoker } from "./revoker.ts";
import { Sealer } from "./seal.ts";
import { Standing } from "./standing.ts";
import { tokenDecider } from "./token-aggregate.ts";
import { TokenDesk } from "./token-desk.ts";
import { trustedFetch } from "./trusted-fetch.ts";
import { WorkloadTokens } from "./workload-tokens.ts";

const runtime = await startRuntime("identity", identityConfig);
const { config, log } = runtime;
const now = Date.now;

const signingKeys = await Promise.all(config.signingKeys.map((ref) => resolveSecret(ref, "a signing key")));
const sealingKey = Buffer.from((await resolveSecret(config.sealingKey, "the sealing key")).expose(), "base64");
if (sealingKey.length !== 32)
  throw new AppError("invalid-input", "identity.main", "the sealing key must be 32 bytes, base64");
const clientSecret = await resolveSecret(config.provider.clientSecret, "the provider's client secret");
const providerCa = config.provider.ca === undefined ? undefined : await readFile(config.provider.ca, "utf8");
const { ownIssuer, timeoutMs } = { ownIssuer: config.issuer, timeoutMs: config.provider.timeoutSeconds * 1000 };

const nc = await runtime.connectNats();
const principals = openStore(nc, { service: "identity", kind: "principal", decider: principalDecider });
const tokens = openStore(nc, { service: "identity", kind: "token", decider: tokenDecider });
const directory = new Directory();
let caughtUp = false;
const follower = await followEvents(nc, {
  subjects: [eventsOfService("identity"), eventsOfKind("catalog", "configuration")],
  from: 1,
  log,
  onEvent: (event) => {
    directory.fold(event);
    if (caughtUp && event.fact?.$case === "configurationApplied") remap();
  },
});
runtime.onShutdown("follower", () => follower.stop());
const freshness = new Freshness(follower);
const { folded } = freshness;

const sealer = new Sealer(sealingKey);
const accessTokens = await AccessTokens.open(signingKeys, ownIssuer, config.audience);
const provider = new Provider(
  { ...config.provider, timeoutMs },
  clientSecret.expose(),
  trustedFetch(providerCa, timeoutMs),
);
const standing = new Standing({
  directory,
  store: principals,
  provider,
  sealer,
  log,
  now,
  folded,
  config: {
    recheckMs: config.groups.recheckSeconds * 1000,
    maxAgeMs: config.groups.maxAgeSeconds * 1000,
    retryMs: config.groups.retrySeconds * 1000,
    waitMs: config.groups.waitSeconds * 1000,
  },
});
const workloads = new WorkloadTokens(directory);
const desk = new TokenDesk({
  directory,
  principals,
  tokens,
  accessTokens,
  sealer,
  accessTtlMs: config.tokens.accessTtlSeconds * 1000,
  ownIssuer,
  now,
  folded,
});
const authenticator = new Authenticator({
  directory,
  accessTokens,
  workloads,
  desk,
  standing,
  freshness,
  ownIssuer,
  now,
});
const revoker = new Revoker({ directory, principals, tokens, freshness, now });
const exchange = new Exchange(authenticator, desk);
const logins = new Logins({ provider, sealer, desk, now });
const backchannelLogout = new BackchannelLogout({ provider, directory, revoker, now });
const policy = runtime.client(PolicyServiceClient, "policy");

const access = accessService({
  authenticator,
  logins,
  exchange,
  desk,
  revoker,
  directory,
  now,
  limits: {
    defaultTtlMs: config.tokens.personalDefaultTtlSeconds * 1000,
    maxTtlMs: config.tokens.personalMaxTtlSeconds * 1000,
    maxPersonalTokens: config.tokens.maxPersonalTokens,
  },
  permits: (principal, action) =>
    callUnary(policy, "authorize", { principal, action, resource: "", connection: "" }, { deadlineMs: 3_000 }),
});
const refusals = tally(runtime.meter, "sallyport.logins.refused", "reason");

await follower.caughtUp;
caughtUp = true;
remap();
const sweeper = setInterval(() => directory.sweep(now()), 3_600_000);
runtime.onShutdown("sweeper", () => clearInterval(sweeper));
await runtime.serve({
  internal: [identityService(authenticator, directory, freshness, refusals)],
  public: [access],
  allow: config.allow,
});
const https = await listenHttps(config.https, {
  accessTokens,
  exchange,
  backchannelLogout,
  issuer: ownIssuer,
  log,
  now,
});
runtime.onShutdown("https", () => https.close());
runtime.ready({ https: https.address });

function remap(): void {
  standing.remapAll().catch((error: unknown) => {
    // Answers use the new mapping at once; only the announcement is late, and the next configuration repeats it.
    log.warn({ err: AppError.from(error, "identity.remap") }, "changed groups could not be announced");
  });
}
