/**
 * What the whole gate costs per command, against a real nats-server: `node bench/gate.ts [clients] [seconds]`. Everything
 * that an edge does but the wire: decide (cached under a template), record, forward, release, complete.
 */
import { Writable } from "node:stream";
import { pino } from "pino";
import type { Connection } from "@sallyport/proto/catalog_model";
import { CommandCompleted_Status } from "@sallyport/proto/record";
import { CacheScope_Kind } from "@sallyport/proto/verdict";
import { asciiLexer } from "../testing/ascii-lexer.ts";
import { makeFrames, startNats } from "../testing/nats-server.ts";
import { noCounts, noEvents, recordingOnlyLinks, signedVerdict } from "../testing/recording-only.ts";
import { openEdge } from "../src/edge.ts";
import type { Forward } from "../src/outcome.ts";

const clients = Number(process.argv[2] ?? 32);
const seconds = Number(process.argv[3] ?? 3);
const server = await startNats();
const nats = await server.connect();
await makeFrames(nats, 0, { duplicateWindowMs: 1000 });
const links = recordingOnlyLinks(
  new Map([["bench", { name: "bench", protocol: "test", defaultDatabase: "bench" } as Connection]]),
);
const statement = "SELECT abalance FROM pgbench_accounts WHERE aid = 1";
links.policy.check = async (question) =>
  signedVerdict(question, {
    cache: { kind: CacheScope_Kind.KIND_LITERALS, erasable: [statement.lastIndexOf("1")], expiresAtMs: 0 },
  });
const edge = await openEdge({
  edge: "bench",
  protocol: "test",
  partition: 0,
  lane: 0,
  gatewayVersion: "0",
  nats,
  links,
  log: pino({ level: "warn" }),
  events: noEvents,
  counts: noCounts,
  literals: asciiLexer,
  durability: "process",
  recorder: { eagerInFlight: Number(process.env["EAGER"] ?? 1) },
});

const load = { running: true, commands: 0 };
const waits: number[] = [];
const answer = Buffer.alloc(90, "x");

async function client(n: number): Promise<void> {
  const handshake = edge.handshake();
  if (handshake === undefined) throw new Error("no handshake");
  const request = {
    token: "",
    claimedUser: `u${n}`,
    connection: "bench",
    database: "",
    clientAddress: "",
    clientApplication: "",
    tls: "",
  };
  const login = await edge.login(request, handshake);
  if (login.outcome !== "accepted") throw new Error(login.message);
  let received = (): void => {};
  const sink = new Writable({
    write(_chunk, _encoding, done) {
      received();
      done();
    },
  });
  const { gate, ...session } = await login.open({ target: "", role: "", version: "", tls: "" }, sink);
  void session;
  const forward = (decision: Forward): void => {
    gate.admit(decision, ({ command }) => {
      setImmediate(() => {
        gate.release(command, answer);
        gate.completed(command, { status: CommandCompleted_Status.STATUS_OK, tag: "SELECT 1", rows: 1 });
      });
    });
  };
  for (let i = 0; load.running; i++) {
    const begun = performance.now();
    const text = Buffer.from(`SELECT abalance FROM pgbench_accounts WHERE aid = ${100_000 + (i % 800_000)}`);
    const decision = gate.decide({ unit: "simple-query", text });
    const answered = new Promise<void>((resolve) => (received = resolve));
    forward((decision instanceof Promise ? await decision : decision) as Forward);
    await answered;
    load.commands++;
    if (waits.length < 500_000) waits.push(performance.now() - begun);
  }
}

const cpu = process.cpuUsage();
const started = performance.now();
setTimeout(() => (load.running = false), seconds * 1000);
await Promise.all(Array.from({ length: clients }, (_, n) => client(n)));
const elapsed = (performance.now() - started) / 1000;
const used = process.cpuUsage(cpu);
waits.sort((a, b) => a - b);
const at = (p: number): string => (waits[Math.floor(waits.length * p)] ?? 0).toFixed(3);
const { records, batches, ackMs, acked } = edge.recorderStats();
console.log(
  `${clients} clients: ${Math.round(load.commands / elapsed)} commands/s, p50 ${at(0.5)} p99 ${at(0.99)} ms, ` +
    `${((used.user + used.system) / load.commands).toFixed(1)} µs CPU/command, ${(records / load.commands).toFixed(1)} records/command, ` +
    `${(records / batches).toFixed(1)} records/batch, ack ${(ackMs / acked).toFixed(3)} ms`,
);
await edge.close(100);
await nats.close();
await server.remove();
process.exit(0);
