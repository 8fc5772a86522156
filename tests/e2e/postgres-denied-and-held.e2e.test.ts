import { readFileSync } from "node:fs";
import { expect, inject, test } from "vitest";
import { libpq, profileOf, psqlAs, run } from "../harness/clients.ts";

const gateway = inject("gateway");

test("a denial is an ERROR with SQLSTATE 42501 and the policy's sentence; the session lives on", async () => {
  const result = await run("psql", ["-X", "-At", "-v", "VERBOSITY=verbose"], {
    env: libpq(gateway, "engineer", "orders"),
    input: "DROP TABLE customers;\nSELECT 'still here';\n",
  });
  expect(result.err).toContain("42501");
  expect(result.out).toContain("still here");
});

test("a refused command never arrives at the server", async () => {
  await psqlAs(gateway, "engineer", "orders", "DELETE FROM orders /* never-arrives-7261 */");
  expect(readFileSync(gateway.statementLog, "utf8")).not.toContain("never-arrives-7261");
});

test("what does not parse is refused before the server sees it", async () => {
  const result = await psqlAs(gateway, "engineer", "orders", "SELEC 1");
  expect(result.code).not.toBe(0);
  expect(result.err).toMatch(/ERROR: {2}42601|ERROR: {2}42501/);
});

test("a held command tells the client who may approve it, and Ctrl-C ends the wait", async () => {
  const { spawn } = await import("node:child_process");
  const child = spawn("psql", ["-X", "-c", "DELETE FROM orders WHERE id = 101"], {
    env: { ...process.env, ...libpq(gateway, "engineer", "orders") },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let err = "";
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  await new Promise<void>((resolve) => {
    child.stderr.on("data", (chunk: Buffer) => {
      err += chunk.toString();
      if (err.includes("NOTICE")) resolve();
    });
  });
  expect(err).toContain("dba");
  child.kill("SIGINT");
  expect(await ended).not.toBe(0);
  const count = await psqlAs(gateway, "engineer", "orders", "SELECT count(*) FROM orders WHERE id = 101", "-At");
  expect(count.out).toBe("1\n");
});

test("who approves sees what a prepared statement would do, and it runs once they have", async () => {
  const { spawn } = await import("node:child_process");
  const { fileURLToPath } = await import("node:url");
  const child = spawn("psql", ["-X", "-At", "-v", "ON_ERROR_STOP=1"], {
    env: { ...process.env, ...libpq(gateway, "engineer", "orders") },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let err = "";
  let out = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  child.stdin.end(
    "PREPARE tidy (integer) AS UPDATE orders SET status = 'e2e-7262' WHERE id = $1;\nEXECUTE tidy(102);\n",
  );
  await new Promise<void>((resolve, reject) => {
    child.once("close", () => reject(new Error(err + out)));
    child.stderr.on("data", (chunk: Buffer) => {
      err += chunk.toString();
      if (err.includes("NOTICE")) resolve();
    });
  });
  const main = fileURLToPath(new URL("../../services/cli/src/main.ts", import.meta.url));
  const cli = (...args: string[]) =>
    run(process.execPath, [main, "--profile", "dba", "--format", "json", ...args], {
      env: { SALLYPORT_HOME: gateway.stateDir, NODE_NO_WARNINGS: "1" },
    });
  const listed = await cli("approvals");
  const found = (JSON.parse(listed.out) as { id: string; command: string; runs: string[] }[]).find(({ command }) =>
    command.startsWith("EXECUTE tidy(102)"),
  );
  expect(found?.runs).toEqual([`prepared "tidy": UPDATE orders SET status = 'e2e-7262' WHERE id = $1`]);
  const approved = await cli("approve", found!.id);
  expect(approved.err).toBe("");
  expect(approved.out).toContain("e2e-7262");
  expect(await ended).toBe(0);
  expect(out).toContain("UPDATE 1");
});

test("a wrong token, an unknown connection and somebody else's name are refused with sentences", async () => {
  const env = libpq(gateway, "engineer", "orders");
  const wrong = await run("psql", ["-X", "-c", "SELECT 1"], { env: { ...env, PGPASSWORD: "nonsense" } });
  expect(wrong.code).toBe(2);
  expect(wrong.err).toContain("FATAL");
  const unknown = await run("psql", ["-X", "-c", "SELECT 1"], { env: { ...env, PGDATABASE: "nowhere" } });
  expect(unknown.code).toBe(2);
  expect(unknown.err).toContain("no such connection");
  const other = await run("psql", ["-X", "-c", "SELECT 1"], { env: { ...env, PGUSER: "dba" } });
  expect(other.code).toBe(2);
  expect(other.err + wrong.err).not.toContain(profileOf(gateway, "engineer").token);
});

test("without TLS nobody gets in", async () => {
  const result = await run("psql", ["-X", "-c", "SELECT 1"], {
    env: { ...libpq(gateway, "engineer", "orders"), PGSSLMODE: "disable" },
  });
  expect(result.code).toBe(2);
  expect(result.err).toContain("TLS");
});
