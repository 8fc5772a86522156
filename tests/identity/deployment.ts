import { spawn, type ChildProcess } from "node:child_process";
import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jetstream } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { type Browser, headlessLogin, type Visitor } from "@sallyport/local/headless-login";
import { Configuration, type TrustedIssuer } from "@sallyport/proto/catalog_model";
import { Event } from "@sallyport/proto/event";
import {
  AccessServiceClient,
  type AuthenticateResponse,
  type FinishLoginResponse,
  IdentityServiceClient,
} from "@sallyport/proto/identity";
import { PolicyServiceService, type AuthorizeRequest } from "@sallyport/proto/policy";
import { event as eventSubject } from "@sallyport/proto/subjects";
import {
  bearer,
  callUnary,
  ensureStreams,
  type EventFollower,
  followEvents,
  publicClient,
  type Runtime,
  service,
} from "@sallyport/runtime";
import { createPki, startNatsServer, startTestRuntime, type TestNats, type TestPki } from "@sallyport/runtime/testing";

const REPOSITORY = new URL("../..", import.meta.url).pathname;
const PASSWORD = "a password of the test";
const DEADLINE = { deadlineMs: 10_000 };

type Fact = NonNullable<Event["fact"]>;
type FactValue<K extends Fact["$case"]> = Extract<Fact, { $case: K }>["value"];

interface AccountChange {
  groups?: readonly string[];
  disabled?: boolean;
  mfa?: boolean;
}

/** NATS, the local identity provider, identity and a policy that lets `user:security` do everything: real processes. */
export class Deployment {
  readonly folder = mkdtempSync(join(tmpdir(), "sallyport-identity-"));
  readonly events: { seq: number; event: Event }[] = [];
  readonly authorized: AuthorizeRequest[] = [];
  nats!: TestNats;
  pki!: TestPki;
  access!: AccessServiceClient;
  identity!: IdentityServiceClient;
  issuer!: string;
  idpIssuer!: string;
  #ports!: { identity: number; access: number; https: number; idp: number };
  #nc!: NatsConnection;
  #follower!: EventFollower;
  #policy!: Runtime;
  #edge!: Runtime;
  #idp: ChildProcess | undefined;
  #process: ChildProcess | undefined;
  #configurations = 0;

  async start(): Promise<void> {
    const [nats, pki, ports] = await Promise.all([startNatsServer(), createPki(this.folder), freePorts(4)]);
    this.nats = nats;
    this.pki = pki;
    this.#ports = { identity: ports[0]!, access: ports[1]!, https: ports[2]!, idp: ports[3]! };
    this.issuer = `https://localhost:${this.#ports.https}`;
    this.idpIssuer = `https://localhost:${this.#ports.idp}`;
    this.#nc = await connect({ servers: nats.url });
    await ensureStreams(this.#nc, { maxFramesBytes: 1024 * 1024 });
    this.writeAccounts({});
    this.#writeKeys();
    this.#policy = await startTestRuntime("policy", { pki });
    const { internal } = await this.#policy.serve({ internal: [this.#policyService()], allow: ["identity"] });
    this.#policy.ready();
    await this.#writeConfigurations(internal!);
    await Promise.all([this.startIdp(), this.startIdentity()]);
    this.#edge = await startTestRuntime("edge-postgres", {
      pki,
      peers: { identity: `localhost:${this.#ports.identity}` },
    });
    this.identity = this.#edge.client(IdentityServiceClient, "identity");
    this.access = publicClient(AccessServiceClient, `localhost:${this.#ports.access}`, readFileSync(pki.ca));
    this.#follower = await followEvents(this.#nc, {
      from: 1,
      log: this.#edge.log,
      onEvent: (event, seq) => void this.events.push({ seq, event }),
    });
    await this.#follower.caughtUp;
  }

  async stop(): Promise<void> {
    await this.#follower?.stop();
    this.access?.close();
    await Promise.all([this.stopIdentity(), this.stopIdp()]);
    await Promise.all([this.#policy?.stop("test"), this.#edge?.stop("test")]);
    await this.#nc?.close();
    await this.nats?.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async startIdentity(): Promise<void> {
    this.#process = await this.#launch("services/identity/src/main.ts", "identity.json");
  }

  async stopIdentity(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    await end(this.#process, signal);
  }

  async startIdp(): Promise<void> {
    this.#idp = await this.#launch("deploy/local/src/idp/main.ts", "idp.json");
  }

  /** It listens, and answers nothing. */
  hangIdp(hang: boolean): void {
    this.#idp?.kill(hang ? "SIGSTOP" : "SIGCONT");
  }

  async stopIdp(): Promise<void> {
    await end(this.#idp, "SIGTERM");
  }

  /** Takes effect when identity is started the next time. */
  changeConfiguration(change: (file: object) => object): void {
    this.write("identity.json", change(JSON.parse(readFileSync(join(this.folder, "identity.json"), "utf8")) as object));
  }

  /** The provider's accounts, as an administrator there edits them. */
  writeAccounts(changes: Record<string, AccountChange>): void {
    const base = { engineer: ["engineers"], dba: ["dba"], security: ["security"], contractor: ["contractors"] };
    const accounts = Object.entries(base).map(([name, groups]) => ({
      name,
      password: PASSWORD,
      groups,
      ...changes[name],
    }));
    writeFileSync(join(this.folder, "accounts.json"), JSON.stringify({ accounts }));
  }

  /** Applies a configuration as `catalog` does; resolves when identity has folded it. */
  async configure(configuration: { groups?: Configuration["groups"]; issuers?: TrustedIssuer[] }): Promise<void> {
    this.#configurations += 1;
    const event = Event.fromPartial({
      id: `configuration-${this.#configurations}`,
      atMs: Date.now(),
      service: "catalog",
      aggregate: "configuration/current",
      version: this.#configurations,
    });
    event.fact = {
      $case: "configurationApplied",
      value: { configuration: Configuration.fromPartial(configuration), digest: "sha256:-", changes: [] },
    };
    const subject = eventSubject("catalog", "configuration", "current");
    const { seq } = await jetstream(this.#nc).publish(subject, Event.encode(event).finish());
    await this.foldedBy(seq);
  }

  /** Identity answers as of `seq` at least. */
  async foldedBy(seq: number): Promise<void> {
    for (let tries = 0; tries < 500; tries += 1) {
      const probe = await this.authenticate(await this.#probe()).catch(() => undefined);
      if (probe === undefined || probe.asOf >= seq) return;
    }
    throw new Error("identity does not fold");
  }

  visitor(account: string): Visitor {
    return { account, password: PASSWORD, ca: this.pki.ca };
  }

  /** A whole login by authorization code with PKCE, as the CLI does it. */
  async login(account: string, browser?: Browser): Promise<Required<FinishLoginResponse> & { value: string }> {
    const codeVerifier = randomBytes(32).toString("base64url");
    const codeChallenge = createHash("sha256").update(codeVerifier).digest("base64url");
    const begun = await callUnary(
      this.access,
      "startLogin",
      { redirectUri: "http://127.0.0.1:45998/callback", codeChallenge },
      DEADLINE,
    );
    const callbackUrl =
      browser === undefined
        ? await headlessLogin(begun.authorizationUrl, this.visitor(account))
        : await browser.authorize(begun.authorizationUrl);
    const done = await callUnary(
      this.access,
      "finishLogin",
      { loginId: begun.loginId, callbackUrl, codeVerifier },
      DEADLINE,
    );
    return { ...done, value: done.token!.token };
  }

  authenticate(token: string, claimedUser = ""): Promise<AuthenticateResponse> {
    return callUnary(this.identity, "authenticate", { token, claimedUser, clientAddress: "127.0.0.1" }, DEADLINE);
  }

  recheck(tokenId: string) {
    return callUnary(this.identity, "recheck", { tokenId }, DEADLINE);
  }

  /** Settings of a call that shows a token. */
  as(token: string) {
    return { ...DEADLINE, metadata: bearer(token) };
  }

  async createToken(as: string, wanted: { label?: string; ttlSeconds?: number; actor?: string } = {}) {
    const request = { label: "", ttlSeconds: 0, actor: "", ...wanted };
    return (await callUnary(this.access, "createToken", request, this.as(as))).token!;
  }

  revokePrincipal(as: string, principalId: string) {
    const what = { $case: "principalId", value: principalId } as const;
    return callUnary(this.access, "revoke", { what, reason: "left" }, this.as(as));
  }

  revokeToken(as: string, tokenId: string) {
    const what = { $case: "tokenId", value: tokenId } as const;
    return callUnary(this.access, "revoke", { what, reason: "leaked" }, this.as(as));
  }

  exchange(wanted: { subjectToken: string; actorToken?: string }) {
    const type = "urn:ietf:params:oauth:token-type:jwt";
    const { subjectToken, actorToken = "" } = wanted;
    const actorTokenType = actorToken === "" ? "" : type;
    return callUnary(
      this.access,
      "exchange",
      { subjectToken, subjectTokenType: type, actorToken, actorTokenType },
      DEADLINE,
    );
  }

  /** A form to identity's HTTPS listener, as curl sends it. */
  async post(path: string, form: Record<string, string>): Promise<{ status: number; body: Record<string, unknown> }> {
    const { status, text } = await this.https("POST", path, new URLSearchParams(form).toString());
    return { status, body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>) };
  }

  https(method: string, path: string, body = "", contentType = "application/x-www-form-urlencoded") {
    return new Promise<{ status: number; text: string }>((resolve, reject) => {
      const request = httpsRequest(
        new URL(path, this.issuer),
        {
          method,
          ca: readFileSync(this.pki.ca),
          agent: false,
          headers: { "content-type": contentType, "content-length": Buffer.byteLength(body) },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("end", () =>
            resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
          );
        },
      );
      request.on("error", reject);
      request.end(body);
    });
  }

  /** The facts of one kind that EVENTS holds up to now. */
  async facts<K extends Fact["$case"]>(kind: K): Promise<FactValue<K>[]> {
    await this.#caughtUp();
    return this.events.flatMap(({ event: { fact } }) => (fact?.$case === kind ? [fact.value as FactValue<K>] : []));
  }

  async #caughtUp(): Promise<void> {
    const { seq } = await jetstream(this.#nc).publish(
      "events.audit.evidence.probe",
      Event.encode(Event.fromPartial({})).finish(),
    );
    await this.#follower.waitFor(seq, 5_000);
  }

  #probeToken: string | undefined;
  async #probe(): Promise<string> {
    this.#probeToken ??= (await this.login("security")).value;
    return this.#probeToken;
  }

  #policyService() {
    return service({
      definition: PolicyServiceService,
      handlers: {
        check: () => undefined,
        explain: () => Promise.reject(new Error("not asked here")),
        validate: () => ({ problems: [], policySet: "" }),
        authorize: (request) => {
          this.authorized.push(request);
          const allowed = request.principal?.groups.includes("security") === true;
          const message = allowed ? "" : "only the security group may do this";
          return { allowed, message, determining: [], revealedClasses: [] };
        },
      },
    });
  }

  #writeKeys(): void {
    const { privateKey } = generateKeyPairSync("ed25519");
    this.write("signing.pem", privateKey.export({ format: "pem", type: "pkcs8" }));
    this.write("sealing.key", randomBytes(32).toString("base64") + "\n");
    this.write("client.secret", randomBytes(18).toString("base64url"));
  }

  async #writeConfigurations(policy: string): Promise<void> {
    const [own, idp] = await Promise.all([this.pki.issue("identity"), this.pki.issue("idp")]);
    const { cert, key, ca } = own;
    const file = (name: string): string => `file:${join(this.folder, name)}`;
    this.write("idp.json", {
      listen: `127.0.0.1:${this.#ports.idp}`,
      issuer: this.idpIssuer,
      tls: { cert: idp.cert, key: idp.key },
      accountsFile: join(this.folder, "accounts.json"),
      keysFile: join(this.folder, "idp-keys.json"),
      stateFile: join(this.folder, "idp-state.json"),
      client: {
        id: "sallyport",
        secret: file("client.secret"),
        backchannelLogoutUri: `${this.issuer}/backchannel-logout`,
        ca,
      },
    });
    this.write("identity.json", {
      service: "identity",
      instance: "identity",
      log: { level: "debug" },
      nats: { servers: [this.nats.url] },
      grpc: {
        internal: { listen: `127.0.0.1:${this.#ports.identity}`, cert, key, ca },
        public: { listen: `127.0.0.1:${this.#ports.access}`, cert, key },
        client: { cert, key, ca },
      },
      peers: { policy },
      https: { listen: `127.0.0.1:${this.#ports.https}`, cert, key },
      issuer: this.issuer,
      signingKeys: [file("signing.pem")],
      sealingKey: file("sealing.key"),
      provider: { issuer: this.idpIssuer, clientId: "sallyport", clientSecret: file("client.secret"), ca },
      groups: { recheckSeconds: 0, retrySeconds: 0, maxAgeSeconds: 3600 },
      tokens: { maxPersonalTokens: 20 },
    });
  }

  write(name: string, content: object | string): void {
    writeFileSync(join(this.folder, name), typeof content === "string" ? content : JSON.stringify(content), {
      mode: 0o600,
    });
  }

  /** Everything that the services printed. */
  output = "";

  #launch(script: string, configuration: string): Promise<ChildProcess> {
    const child = spawn(process.execPath, [join(REPOSITORY, script)], {
      env: { ...process.env, SALLYPORT_CONFIG: join(this.folder, configuration) },
      stdio: ["ignore", "pipe", "pipe"],
    });
    return new Promise((resolve, reject) => {
      let said = "";
      const listen = (chunk: Buffer): void => {
        const text = chunk.toString();
        this.output += text;
        said += text;
        if (said.includes('"msg":"ready"')) resolve(child);
      };
      child.stdout.on("data", listen);
      child.stderr.on("data", listen);
      child.once("exit", (code) => reject(new Error(`${script} ended with ${code}: ${said.slice(-4_000)}`)));
    });
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

function end(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill(signal);
  });
}
