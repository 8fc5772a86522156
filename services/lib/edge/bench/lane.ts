/**
 * How fast a lane is, against a real nats-server: `node bench/lane.ts [seconds]`.
 *
 * Closed loop: N sessions, each a command at a time of four records (admitted, wait for the ack, forwarded, a small
 * result, completed, wait for the ack). Bulk: one session's frames of 64 KiB. And the publisher alone against
 * `@nats-io/jetstream`'s.
 */
import { jetstream } from "@nats-io/jetstream";
import { frames, framesStream } from "@sallyport/proto/subjects";
import { makeFrames, startNats } from "../testing/nats-server.ts";
import { Lane, type LaneSettings } from "../src/recorder/lane.ts";
import { natsPublisher } from "../src/recorder/nats-publisher.ts";
import { SessionRecorder } from "../src/recorder/session-recorder.ts";
import { utf8, type AdmittedFact } from "../src/recorder/facts.ts";

const seconds = Number(process.argv[2] ?? 3);
const server = await startNats();
const nc = await server.connect();
await makeFrames(nc, 0, { duplicateWindowMs: 10_000 });
let lanes = 0;

function openLane(settings: Partial<LaneSettings> = {}): Lane {
  const lane = lanes++;
  const epoch = Date.now();
  const publisher = natsPublisher({
    nats: nc,
    subject: frames(0, "bench", lane),
    stream: framesStream(0),
    idPrefix: `bench-${lane}-${epoch}`,
  });
  return new Lane({ edge: "bench", lane, epoch }, publisher, settings);
}

function openSession(lane: Lane, n: number): SessionRecorder {
  const session = new SessionRecorder(
    lane,
    {
      sessionId: `01J8ZQ4V9N7R2M5T6W8X0Y${String(n).padStart(4, "0")}`,
      principalId: "user:engineer",
      actors: [],
      connection: "orders",
      protocol: "postgresql",
    },
    {
      relieved: () => {},
      busFailed: () => console.error("bus failed"),
      fault(error) {
        throw error;
      },
    },
  );
  lane.join(session);
  return session;
}

const admitted: AdmittedFact = {
  command: 1,
  verdictId: utf8("v-01J8ZQ4V9N7R2M5T6W8X0Y0000"),
  approvalId: utf8(""),
  unit: utf8("simple-query"),
  text: Buffer.from("SELECT abalance FROM pgbench_accounts WHERE aid = 123456;"),
  statementName: utf8(""),
  portalName: utf8(""),
  parameters: [],
  resultFormats: [],
  traceId: utf8(""),
  textLength: 0,
  parameterLengths: [],
};
const result = Buffer.alloc(90, "x");

async function closedLoop(clients: number, settings: Partial<LaneSettings>): Promise<void> {
  const lane = openLane(settings);
  let running = true;
  let commands = 0;
  const waits: number[] = [];
  const cpu = process.cpuUsage();
  const started = performance.now();
  const ended = Array.from({ length: clients }, (_, n) => {
    const session = openSession(lane, n);
    return new Promise<void>((resolve) => {
      let command = 0;
      const next = (): void => {
        if (!running) return resolve();
        const begun = performance.now();
        session.admitted({ ...admitted, command: ++command });
        session.whenAcked(() => {
          session.forwarded(command);
          // the target answers in the next turn at the earliest
          setImmediate(() => {
            session.frameToClient(command, result, undefined);
            session.completed({
              command,
              status: 1,
              code: utf8(""),
              tag: utf8("SELECT 1"),
              rows: 1,
              bytesToClient: 90,
              durationUs: 123,
              waitUs: 321,
            });
            session.whenAcked(() => {
              commands++;
              if (waits.length < 200_000) waits.push(performance.now() - begun);
              setImmediate(next);
            });
          });
        });
      };
      next();
    });
  });
  setTimeout(() => (running = false), seconds * 1000);
  await Promise.all(ended);
  const elapsed = (performance.now() - started) / 1000;
  const used = process.cpuUsage(cpu);
  waits.sort((a, b) => a - b);
  const at = (p: number): string => (waits[Math.floor(waits.length * p)] ?? 0).toFixed(3);
  console.log(
    `${clients} clients, eager ${lane.settings.eagerInFlight}: ${Math.round(commands / elapsed)} commands/s,` +
      ` p50 ${at(0.5)} p99 ${at(0.99)} ms, ${((used.user + used.system) / commands).toFixed(1)} µs CPU/command,` +
      ` ${(lane.stats.records / lane.stats.batches).toFixed(1)} records/batch, ack ${(lane.stats.ackMs / lane.stats.acked).toFixed(3)} ms`,
  );
  lane.close();
}

async function bulk(): Promise<void> {
  const lane = openLane();
  const data = Buffer.alloc(64 * 1024, "a row of data ");
  let session: SessionRecorder;
  let sent = 0;
  const load = { running: true };
  let finished = (): void => {};
  const done = new Promise<void>((resolve) => (finished = resolve));
  const push = (): void => {
    while (load.running && !session.pressed) {
      session.frameToClient(1, data, undefined);
      sent += data.length;
    }
    if (!load.running) finished();
  };
  session = new SessionRecorder(
    lane,
    { sessionId: "bulk", principalId: "user:engineer", actors: [], connection: "orders", protocol: "postgresql" },
    {
      relieved: () => setImmediate(push),
      busFailed() {},
      fault(error) {
        throw error;
      },
    },
  );
  lane.join(session);
  const started = performance.now();
  const cpu = process.cpuUsage();
  push();
  setTimeout(() => (load.running = false), seconds * 1000);
  await done;
  await lane.drained(5000);
  const elapsed = (performance.now() - started) / 1000;
  const used = process.cpuUsage(cpu);
  console.log(
    `bulk: ${(sent / 1e6 / elapsed).toFixed(0)} MB/s, ${((used.user + used.system) / (sent / 1e6)).toFixed(0)} µs CPU/MB, ` +
      `${(lane.stats.bytes / lane.stats.batches / 1024).toFixed(0)} KiB/batch`,
  );
  lane.close();
}

async function publishers(): Promise<void> {
  const payload = Buffer.alloc(4096, "p");
  const js = jetstream(nc);
  const each = 1500;
  for (const inFlight of [1, 4]) {
    let started = performance.now();
    let left = each * seconds;
    await Promise.all(
      Array.from({ length: inFlight }, async () => {
        while (left-- > 0) await js.publish(frames(0, "plain", 0), payload, { msgID: `plain-${inFlight}-${left}` });
      }),
    );
    const plain = (performance.now() - started) / (each * seconds);
    const own = natsPublisher({
      nats: nc,
      subject: frames(0, "own", inFlight),
      stream: framesStream(0),
      idPrefix: `own-${inFlight}`,
    });
    started = performance.now();
    await new Promise<void>((resolve) => {
      let no = 0;
      let answered = 0;
      own.onAnswer = () => {
        if (++answered === each * seconds) resolve();
        else if (no < each * seconds) own.publish(++no, payload, "");
      };
      while (no < inFlight) own.publish(++no, payload, "");
    });
    const lean = (performance.now() - started) / (each * seconds);
    own.close();
    console.log(
      `publisher, ${inFlight} in flight: jetstream ${plain.toFixed(4)} ms, own ${lean.toFixed(4)} ms per batch`,
    );
  }
}

await publishers();
await closedLoop(1, {});
for (const eagerInFlight of [1, 2, 4]) {
  await closedLoop(8, { eagerInFlight });
  await closedLoop(32, { eagerInFlight });
}
await bulk();
await nc.close();
await server.remove();
