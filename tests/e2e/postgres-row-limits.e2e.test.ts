import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, inject, test } from "vitest";
import { libpq, run } from "../harness/clients.ts";

/** Limits of rows and of probes, as the demo's policies set them (deploy/local/catalog/policies). */
const gateway = inject("gateway");
const SCRIPT = ["-X", "-At", "-v", "VERBOSITY=verbose"];

const cli = (...args: string[]): ReturnType<typeof run> => {
  const main = fileURLToPath(new URL("../../services/cli/src/main.ts", import.meta.url));
  return run(process.execPath, [main, "--profile", "dba", "--format", "json", ...args], {
    env: { SALLYPORT_HOME: gateway.stateDir, NODE_NO_WARNINGS: "1" },
  });
};

interface Psql {
  /** resolves with all that was said on stderr once it holds `what`, so many times */
  told(what: string, times?: number): Promise<string>;
  ended: Promise<{ out: string; code: number | null }>;
  interrupt(): void;
}

function psql(who: string, input: string): Psql {
  const env = { ...process.env, ...libpq(gateway, who, "orders") };
  const child = spawn("psql", SCRIPT, { env, stdio: ["pipe", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  let look = (): void => {};
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => {
    err += chunk.toString();
    look();
  });
  const ended = new Promise<{ out: string; code: number | null }>((resolve) => {
    child.once("close", (code) => resolve({ out, code }));
  });
  child.stdin.end(input);
  return {
    ended,
    interrupt: () => child.kill("SIGINT"),
    told: (what, times = 1) =>
      new Promise((resolve, reject) => {
        look = () => {
          if (err.split(what).length > times) resolve(err);
        };
        look();
        void ended.then(() => reject(new Error(`it ended without ${what}: ${err}`)));
      }),
  };
}

const rows = (count: number): string => `SELECT generate_series(1, ${count});\n`;

test("a result beyond its limit is cut off: the rows that may be seen, an error, and the session lives on", async () => {
  const result = await run("psql", SCRIPT, {
    env: libpq(gateway, "contractor", "orders"),
    input: `${rows(25_000)}SELECT 'still here';\nCOPY (SELECT generate_series(1, 25000)) TO STDOUT;\nSELECT 'and here';\n`,
  });
  const lines = result.out.trim().split("\n");
  // psql shows no row of a SELECT that ends with an error; of a COPY it has written them already.
  expect(lines.slice(0, 3)).toEqual(["still here", "1", "2"]);
  expect(lines.indexOf("and here")).toBe(20_001);
  expect(result.err.match(/ERROR: {2}53400: Contractors get no more than 20,000 rows of a result/g)).toHaveLength(2);
  expect(result.err).toContain("The result was cut off after 20000 rows.");
});

test("nobody else is limited, and what is not production is not", async () => {
  const engineer = await run("psql", SCRIPT, { env: libpq(gateway, "engineer", "orders"), input: rows(25_000) });
  expect(engineer.out.trim().split("\n")).toHaveLength(25_000);
  const sandbox = await run("psql", SCRIPT, { env: libpq(gateway, "contractor", "sandbox"), input: rows(25_000) });
  expect(sandbox.out.trim().split("\n")).toHaveLength(25_000);
});

test("when a session's rows are used up, the next command is put to a DBA, and runs when they agree", async () => {
  const marked = "SELECT 'row-limit-4711', generate_series(1, 3);\n";
  const session = psql("contractor", `${rows(20_000).repeat(2)}${rows(20_000)}${marked}SELECT 'not asked';\n`);
  const told = await session.told("waits for approval by group dba");
  expect(told).toContain("ERROR:  53400: Contractors get no more than 50,000 rows in a session");
  expect(told).toContain("The result was cut off after 10000 rows.");
  const requests = JSON.parse((await cli("approvals")).out) as { id: string; command: string }[];
  const request = requests.find(({ command }) => command.includes("row-limit-4711"));
  expect((await cli("approve", request!.id)).err).toBe("");
  // … and the one behind it is held again.
  await session.told("waits for approval by group dba", 2);
  session.interrupt();
  const { out } = await session.ended;
  expect(out.match(/row-limit-4711/g)).toHaveLength(3);
  expect(out).not.toContain("not asked");
});

test("from the fourth command on that looks at hidden data with its conditions, a DBA looks at it", async () => {
  const probe = (n: number): string =>
    `SELECT 'asked ${n}', count(*) FROM customers WHERE email = 'nobody-${n}@example.com';\n`;
  const session = psql("engineer", `${probe(1)}${probe(2)}SELECT count(*) FROM orders;\n${probe(3)}${probe(4)}`);
  const told = await session.told("waits for approval by group dba");
  expect(told).toContain("one of many commands");
  session.interrupt();
  const { out } = await session.ended;
  expect(out).toContain("asked 3");
  expect(out).not.toContain("asked 4");
});
