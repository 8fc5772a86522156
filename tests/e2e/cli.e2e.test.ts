import { fileURLToPath } from "node:url";
import { expect, inject, test } from "vitest";
import { libpq, run, type Ended } from "../harness/clients.ts";

const gateway = inject("gateway");
const MAIN = fileURLToPath(new URL("../../services/cli/src/main.ts", import.meta.url));

function sallyport(...args: string[]): Promise<Ended> {
  return run(process.execPath, [MAIN, ...args], { env: { SALLYPORT_HOME: gateway.stateDir, NODE_NO_WARNINGS: "1" } });
}

async function json(...args: string[]): Promise<unknown> {
  const result = await sallyport("--format", "json", ...args);
  expect(result.err).toBe("");
  return JSON.parse(result.out);
}

test("whoami, connections and status answer in each format", async () => {
  expect(await json("--profile", "engineer", "whoami")).toMatchObject({
    principal: "user:engineer",
    groups: ["engineers"],
  });
  const table = await sallyport("--profile", "engineer", "connections");
  expect(table.out).toContain("orders");
  expect(table.out).not.toContain("\u001b[");
  const csv = await sallyport("--profile", "engineer", "--format", "csv", "connections");
  expect(csv.out.split("\r\n")[0]).toBe("connection,protocol,databases,labels,description");
  expect(await json("--profile", "security", "status")).toMatchObject({ deployment: "local" });
});

test("token prints a password that psql accepts; logging out withdraws it", async () => {
  const token = await sallyport("--profile", "dba", "token");
  expect(token.code).toBe(0);
  const answer = await run("psql", ["-X", "-At", "-c", "SELECT 1"], {
    env: { ...libpq(gateway, "dba", "sandbox"), PGPASSWORD: token.out.trim() },
  });
  expect(answer.out).toBe("1\n");
});

test("a personal token is made, listed, works, and is refused once revoked", async () => {
  const made = (await json("--profile", "dba", "token", "create", "--label", "e2e", "--ttl", "1h")) as {
    token: string;
    tokenId: string;
  };
  const env = { ...libpq(gateway, "dba", "sandbox"), PGPASSWORD: made.token };
  expect((await run("psql", ["-X", "-At", "-c", "SELECT 1"], { env })).out).toBe("1\n");
  expect(JSON.stringify(await json("--profile", "dba", "token", "list"))).toContain(made.tokenId);
  expect((await sallyport("--profile", "dba", "revoke", "--token", made.tokenId)).code).toBe(0);
  expect((await run("psql", ["-X", "-At", "-c", "SELECT 1"], { env })).code).toBe(2);
});

test("plan of the applied folder shows no changes; broken input is reported with file and line, all together", async () => {
  const folder = fileURLToPath(new URL("../../deploy/local/catalog", import.meta.url));
  const plan = await sallyport("--profile", "security", "plan", "-f", folder);
  expect(plan.err).toBe("");
  expect(plan.out).toContain("No changes.");
  // Who approves does not rewrite the rules that ask for approval.
  expect((await sallyport("--profile", "dba", "apply", "-f", folder)).code).toBe(4);
});

test("sql answers, and refuses what is not on the allow-list", async () => {
  const rows = (await json("--profile", "security", "sql", "SELECT count(*) AS n FROM sessions")) as {
    n: number | string;
  }[];
  expect(Number(rows[0]?.n)).toBeGreaterThan(0);
  const refused = await sallyport("--profile", "security", "sql", "SELECT * FROM file('/etc/passwd')");
  expect(refused.code).not.toBe(0);
  const notAllowed = await sallyport("--profile", "engineer", "sql", "SELECT 1");
  expect(notAllowed.code).toBe(4);
});

test("exit codes: wrong use 2, no profile 3, unknown session 5", async () => {
  expect((await sallyport("nonsense")).code).toBe(2);
  expect((await sallyport("--profile", "nobody", "whoami")).code).toBe(3);
  expect((await sallyport("--profile", "security", "replay", "s_unknown")).code).toBe(5);
});

test("completion scripts name every command", async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const script = await sallyport("completion", shell);
    for (const command of ["login", "connections", "approve", "replay", "sql"]) expect(script.out).toContain(command);
  }
});
