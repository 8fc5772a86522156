import { createUser } from "@nats-io/nkeys";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually, startNatsServer, type TestNats } from "../testing/index.ts";
import { createLogger } from "./log.ts";
import { connectNats } from "./nats.ts";

const log = createLogger({ service: "t", instance: "t", log: { level: "silent" } });
let nats: TestNats;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-nkey-"));
  const known = createUser();
  await writeFile(join(folder, "known.nk"), `${Buffer.from(known.getSeed()).toString()}\n`);
  await writeFile(join(folder, "stranger.nk"), createUser().getSeed());
  const permissions = `{ publish: ["_INBOX_me.>", "say"], subscribe: ["_INBOX_me.>", "say"] }`;
  nats = await startNatsServer({
    extraConfig: `authorization { users: [ { nkey: ${known.getPublicKey()}, permissions: ${permissions} } ] }`,
  });
});
afterAll(async () => {
  await nats.stop();
  await rm(folder, { recursive: true });
});

const as = (seed: string) =>
  connectNats(
    { service: "t", instance: "me", nats: { servers: [nats.url], nkeySeed: `file:${join(folder, seed)}` } },
    log,
  );

test("connects with its key, hears answers on its own inbox, and only there", async () => {
  const nc = await as("known.nk");
  nc.subscribe("say", { callback: (_, message) => void message.respond("hello") });
  expect((await nc.request("say", "", { timeout: 2_000 })).string()).toBe("hello");
  const refused = nc.subscribe("_INBOX_other.>", { callback: () => undefined });
  expect(await refused.closed).toMatchObject({ message: /[Pp]ermission/ });
  await nc.close();
});

test("a key that the server does not know is told at once", async () => {
  await expect(as("stranger.nk")).rejects.toMatchObject({ code: "unavailable", message: /cannot connect to NATS/ });
});

test("comes back after the server was away", async () => {
  const nc = await as("known.nk");
  await nats.kill();
  await nats.restart();
  nc.subscribe("say", { callback: (_, message) => void message.respond("again") });
  expect(await eventually(async () => (await nc.request("say", "", { timeout: 200 })).string())).toBe("again");
  await nc.close();
});
