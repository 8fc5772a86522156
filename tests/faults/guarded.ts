import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bearer, call } from "@sallyport/cli/api";
import type { Profile } from "@sallyport/cli/home";
import { prepareProfile } from "@sallyport/local/profiles";
import type { StackOptions } from "@sallyport/local";
import type { ApprovalState } from "@sallyport/proto/approval";
import type { SourceFile } from "@sallyport/proto/catalog";
import { run, type Ended } from "../harness/clients.ts";
import { addressOf, startGateway, type Gateway, type GatewayAddress } from "../harness/gateway.ts";

const CATALOG = fileURLToPath(new URL("../../deploy/local/catalog", import.meta.url));
const MAIN = fileURLToPath(new URL("../../services/cli/src/main.ts", import.meta.url));

/** One more connection, to the sandbox: it is entered for a time, with the consent of two. */
const CONNECTION = `
  - name: guarded
    protocol: postgresql
    host: 127.0.0.1
    port: \${ORDERS_PORT:-15433}
    database: sandbox
    labels:
      env: guarded
    role:
      user: sallyport_app
      password: file:secrets/orders-password
    tls:
      mode: disable
`;
const POLICIES = `
@id("window-for-guarded") @approval("dba") @quorum("2") @window("1h") @break_glass("30m")
@message("Guarded data is entered for a time.")
forbid (principal, action == Action::"connect", resource in Label::"env=guarded")
unless { principal in Group::"dba" };

@id("hold-changes-in-guarded") @approval("dba") @quorum("2") @within("1m") @break_glass("10m")
@message("Changing guarded data needs two DBAs.")
forbid (principal, action == Action::"write", resource in Label::"env=guarded");

@id("engineers-break-glass")
permit (principal in Group::"engineers", action == Action::"break-glass", resource in Label::"env=guarded");
`;

/** A gateway with a connection that is entered for a time, and a second DBA. */
export interface GuardedGateway {
  readonly gateway: Gateway;
  readonly address: GatewayAddress;
  /** also of `dba2` */
  profile(name: string): Profile;
  /** Publishes the configuration with these policies besides, and says when that was acknowledged, ms since 1970. */
  apply(policies?: string, groups?: string): Promise<number>;
  sallyport(profile: string, ...args: string[]): Promise<Ended>;
  decide(by: string, approvalId: string, grant?: boolean): Promise<ApprovalState>;
  /** A window that both DBAs have granted. */
  letIn(who: string, seconds: number): Promise<ApprovalState>;
  stop(): Promise<void>;
}

export async function startGuarded(options: Partial<StackOptions> = {}): Promise<GuardedGateway> {
  const scratch = mkdtempSync(join(tmpdir(), "sallyport-guarded-"));
  const catalogFolder = join(scratch, "catalog");
  cpSync(CATALOG, catalogFolder, { recursive: true });
  const connections = join(catalogFolder, "connections.yaml");
  writeFileSync(connections, readFileSync(connections, "utf8") + CONNECTION);
  writeFileSync(join(catalogFolder, "policies/guarded.cedar"), POLICIES);
  const gateway = await startGateway({ catalogFolder, ...options }).catch((error: unknown) => {
    rmSync(scratch, { recursive: true, force: true });
    throw error;
  });
  const { api, stack } = gateway;
  const profiles = new Map(gateway.profiles);
  profiles.set("dba2", await second(gateway));
  const as = (name: string) => bearer(profiles.get(name)!.token);
  const decide = async (by: string, approvalId: string, grant = true) => {
    const request = { approvalId, grant, reason: "a test" };
    return (await call(api.approvals, api.approvals.decide, request, as(by))).state!;
  };
  return {
    gateway,
    address: addressOf(gateway),
    profile: (name) => profiles.get(name)!,
    apply: async (policies = "", groups = "") => {
      const extra = join(catalogFolder, "policies/extra.cedar");
      writeFileSync(extra, policies);
      writeFileSync(join(catalogFolder, "groups.yaml"), groups || readFileSync(join(CATALOG, "groups.yaml"), "utf8"));
      const request = { files: filesOf(catalogFolder), expectedDigest: "" };
      const { problems } = await call(api.configuration, api.configuration.apply, request, as("security"), 60_000);
      if (problems.length > 0) throw new Error(JSON.stringify(problems));
      return Date.now();
    },
    sallyport: (profile, ...args) =>
      run(process.execPath, [MAIN, "--profile", profile, ...args], {
        env: { SALLYPORT_HOME: stack.layout.root, NODE_NO_WARNINGS: "1" },
      }),
    decide,
    letIn: async (who, seconds) => {
      const request = { connection: "guarded", database: "", seconds, reason: "a test" };
      const { state } = await call(api.approvals, api.approvals.requestWindow, request, as(who));
      await decide("dba", state!.approvalId);
      return decide("dba2", state!.approvalId);
    },
    stop: async () => {
      await gateway.stop();
      rmSync(scratch, { recursive: true, force: true });
    },
  };
}

const FILES = ["classifications.yaml", "connections.yaml", "groups.yaml"];
const POLICY_FILES = ["access", "gateway", "guarded", "extra", "holds", "refusals", "reveal", "shadow"];

function filesOf(folder: string): SourceFile[] {
  const paths = [...FILES, ...POLICY_FILES.map((name) => `policies/${name}.cedar`)].toSorted();
  return paths.map((path) => ({ path, text: readFileSync(join(folder, path), "utf8") }));
}

/** The provider's people may be edited while it runs. */
async function second({ stack, api }: Gateway): Promise<Profile> {
  const file = join(stack.layout.idp, "accounts.json");
  const { accounts } = JSON.parse(readFileSync(file, "utf8")) as { accounts: object[] };
  const account = { name: "dba2", groups: ["dba"], password: "a-second-dba-5150" };
  writeFileSync(file, JSON.stringify({ accounts: [...accounts, account] }), { mode: 0o600 });
  return prepareProfile(stack, api, { ...account, role: "" });
}
