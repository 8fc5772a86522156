import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { bearer, call } from "@sallyport/cli/api";
import { AppError } from "@sallyport/runtime";
import { SERVICE_NAMES } from "@sallyport/local/ports";
import { beforeAll, expect, test } from "vitest";
import { profileOf, psqlAs, type Ended } from "../harness/clients.ts";
import { spansIn } from "./collector.ts";
import { api, asAccount, gateway, log, metricsOf } from "./place.ts";
import { query, RawClient } from "./raw-client.ts";
import { asSuperuser } from "./target.ts";
import { until } from "./until.ts";

/** Values that stand in statements, parameters and results of this run, and nowhere else. */
const IN_TEXT = "kassandra.7319@example.com";
const CARD_IN_TEXT = "4000007319731973";

const needles = new Map<string, string>();
const secret = (what: string, value: string): void => void needles.set(value, what);

beforeAll(async () => {
  for (const name of ["engineer", "dba", "security", "contractor"])
    secret(`token of ${name}`, profileOf(gateway, name).token);
  secret("password of the target's role", gateway.target.password);
  secret("superuser's password", gateway.superuser.superuserPassword);
  secret("wrong password of the target", "not-the-target-password-5150");
  for (const folder of ["keys", "secrets"]) {
    for (const file of readdirSync(join(gateway.stateDir, folder))) {
      const text = readFileSync(join(gateway.stateDir, folder, file), "utf8");
      // of a PEM file its body
      const lines = text.split("\n").filter((line) => line.length >= 12 && !line.startsWith("-----"));
      for (const line of lines) secret(`${folder}/${file}`, line.trim());
    }
  }
  secret("an address in a statement", IN_TEXT);
  secret("a card in a statement", CARD_IN_TEXT);
  const { rows } = await asSuperuser(gateway.superuser, "orders", (client) =>
    client.query<{ email: string; card_number: string }>("SELECT email, card_number FROM customers"),
  );
  for (const { email, card_number } of rows) {
    secret("an address of the demo data", email);
    secret("a card of the demo data", card_number);
  }
});

/** What a text tells that it must not. Long texts and thousands of needles: one pass over the words of the text. */
function leaks(text: string): string[] {
  const found = new Map<string, string>();
  for (const word of text.match(/[A-Za-z0-9._@+/=-]{8,}/g) ?? []) {
    const direct = needles.get(word);
    if (direct !== undefined) found.set(word, `${direct}: ${word.slice(0, 6)}…`);
  }
  // What is no single word, or stands inside one.
  for (const [value, what] of needles) {
    if (what.includes("demo data")) continue;
    if (text.includes(value)) found.set(value, `${what}: ${value.slice(0, 6)}…`);
  }
  return [...found.values()];
}

const psql = (profile: string, database: string, sql: string): Promise<Ended> =>
  psqlAs(gateway, profile, database, sql, "-At");

test("every way in which a value could get into a log is walked", async () => {
  const masked = await psql("engineer", "orders", "SELECT * FROM customers");
  expect([masked.code, masked.out.split("\n").length > 4_000, leaks(masked.out)]).toEqual([0, true, []]);
  const clear = await psql("dba", "orders", "SELECT email FROM customers ORDER BY id");
  expect(leaks(clear.out).length).toBeGreaterThan(4_000);
  // errors with values in them: the server's, policy's, the parser's
  for (const profile of ["engineer", "dba"]) {
    await psql(profile, "orders", "SELECT email::int FROM customers");
    await psql(profile, "orders", `SELECT '${IN_TEXT}'::int`);
    await psql(profile, "orders", `SELEC '${IN_TEXT}', '${CARD_IN_TEXT}'`);
    await psql(
      profile,
      "orders",
      `SELECT id FROM customers WHERE email = '${IN_TEXT}' OR card_number = '${CARD_IN_TEXT}'`,
    );
    await psql(profile, "sandbox", `DO $$ BEGIN RAISE NOTICE '${IN_TEXT}'; RAISE EXCEPTION '${CARD_IN_TEXT}'; END $$`);
    await psql(profile, "sandbox", `COPY (SELECT '${CARD_IN_TEXT}') TO STDOUT`);
  }
  // denied, and held until the client goes
  await psql("engineer", "orders", `DELETE FROM customers -- ${CARD_IN_TEXT}`);
  const held = await RawClient.login(asAccount("engineer"), "orders");
  held.send(query(`DELETE FROM customers WHERE email = '${IN_TEXT}'`));
  await held.until("N");
  held.vanish();
  // wrong logins with right secrets in them
  for (const token of [profileOf(gateway, "engineer").token, gateway.target.password]) {
    await (await RawClient.login({ ...asAccount("dba"), token }, "orders")).end();
    await (await RawClient.login({ ...asAccount("dba"), user: "x", token }, "nowhere")).end();
  }
  await (await RawClient.login(asAccount("engineer"), "wrong-password")).end();
  // a personal token, used and revoked, and a question to the log with a value in it
  const { access } = api;
  const me = bearer(profileOf(gateway, "engineer").token);
  const { token } = await call(access, access.createToken, { label: "secrecy", ttlSeconds: 600, actor: "" }, me);
  secret("a personal token", token!.token);
  const client = await RawClient.login({ ...asAccount("engineer"), token: token!.token }, "sandbox");
  const what = { $case: "tokenId" as const, value: token!.tokenId };
  await call(access, access.revoke, { what, reason: "done" }, me);
  await client.end();
  await log.ask(`SELECT count() FROM commands WHERE statement LIKE '%${IN_TEXT}%'`);
  for (const question of [
    `SELECT no_such_column FROM commands WHERE statement = '${CARD_IN_TEXT}'`,
    `SELECT * FROM no_such_table WHERE statement = '${IN_TEXT}'`,
    `SELEC '${CARD_IN_TEXT}'`,
    `SELECT toDate(materialize('${CARD_IN_TEXT}'))`,
    `SELECT * FROM url('http://127.0.0.1/${IN_TEXT}')`,
  ]) {
    const refusal = await log.ask(question).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(AppError);
  }
});

test("no service's log tells a token, a password, a key or a value", () => {
  const files = readdirSync(gateway.logs).filter((file) => file !== "postgres.log");
  expect(files).toEqual(expect.arrayContaining(SERVICE_NAMES.map((name) => `${name}.log`)));
  const told = files.map((file) => [file, leaks(readFileSync(join(gateway.logs, file), "utf8"))]);
  expect(told.filter(([, found]) => found?.length !== 0)).toEqual([]);
});

test("no metric does", async () => {
  for (const service of SERVICE_NAMES) {
    const text = await metricsOf(service);
    expect(text.length).toBeGreaterThan(100);
    expect([service, leaks(text)]).toEqual([service, []]);
  }
});

test("no trace and no exported metric does", async () => {
  const exported = (): string => readFileSync(gateway.traces, "utf8");
  const sql = `SELECT trace_id FROM commands WHERE trace_id != '' AND statement LIKE '%${CARD_IN_TEXT}%'`;
  const traces = await log.find("the statements above", sql, (rows) =>
    rows.length > 3 ? rows.map((row) => String(row["trace_id"])) : undefined,
  );
  // Each service sends its spans every few seconds: the edge's own, of those statements.
  await until("their spans arrive", () => {
    const spans = spansIn(gateway.traces);
    const isTold = (id: string): boolean => spans.some(({ traceId, name }) => traceId === id && name === "decide");
    return traces.every(isTold) ? true : undefined;
  });
  expect(leaks(exported())).toEqual([]);
});

test("what is looked for would be found", () => {
  const [email] = [...needles].find(([, what]) => what === "an address of the demo data")!;
  expect(leaks(`{"msg":"login of ${email} failed"}`)).toHaveLength(1);
  expect(leaks(`xx${gateway.target.password}xx`)).toHaveLength(1);
});
