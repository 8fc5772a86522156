import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { expect, inject, test } from "vitest";
import { run, type Ended } from "../harness/clients.ts";

const gateway = inject("gateway");
const MAIN = fileURLToPath(new URL("../../services/cli/src/main.ts", import.meta.url));

function sallyport(...args: string[]): Promise<Ended> {
  return run(process.execPath, [MAIN, ...args], { env: { SALLYPORT_HOME: gateway.stateDir, NODE_NO_WARNINGS: "1" } });
}

test("wrong use of a nested command is 2", async () => {
  for (const args of [
    ["create", "--ttl", "1h"],
    ["create", "--label", "a", "--ttl", "5"],
    ["list", "--bogus"],
  ]) {
    expect((await sallyport("--profile", "dba", "token", ...args)).code).toBe(2);
  }
});

test("a connection that does not exist is 5 before psql or a port starts", async () => {
  for (const command of ["psql", "connect"]) {
    const ended = await sallyport("--profile", "dba", command, "nosuch");
    expect(ended).toMatchObject({ code: 5, out: "" });
    expect(ended.err).toContain("nosuch: there is no such connection");
  }
  const psql = await sallyport("--profile", "dba", "psql", "sandbox", "--", "-XAtc", "SELECT 1");
  expect(psql).toMatchObject({ code: 0, out: "1\n", err: "" });
});

test("a port that is taken is told", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as AddressInfo;
  const ended = await sallyport("--profile", "dba", "connect", "sandbox", "--port", String(port));
  expect(ended.code).toBe(1);
  expect(ended.err).toContain(`Port ${port} is in use by another program.`);
  taken.close();
});

test("revoking a name that nobody has seen is 5, and changes nothing", async () => {
  const ended = await sallyport("--profile", "security", "revoke", "--principal", "user:nobody");
  expect(ended).toMatchObject({ code: 5, out: "" });
  expect(ended.err).toContain("nobody named user:nobody has been seen here");
  expect(ended.err).toContain("--force");
});

test("a plan as JSON carries its digest", async () => {
  const folder = fileURLToPath(new URL("../../deploy/local/catalog", import.meta.url));
  const ended = await sallyport("--profile", "security", "--format", "json", "plan", "-f", folder);
  expect(JSON.parse(ended.out)).toMatchObject({
    digest: expect.stringMatching(/^\S{16,}$/),
    changes: [],
    problems: [],
  });
});
