import { duplexPair } from "node:stream";
import type { Socket } from "node:net";
import { type Links, type PolicyQuestion } from "@sallyport/edge";
import { signedVerdict } from "@sallyport/edge/testing";
import { testSession, type TestSession } from "@sallyport/edge/testing/live-session";
import { Connection } from "@sallyport/proto/catalog_model";
import type { Verdict } from "@sallyport/proto/verdict";
import { createLogger, type Logger } from "@sallyport/runtime";
import { eventually } from "@sallyport/runtime/testing";
import { Relay } from "../src/relay/relay.ts";
import { SessionState } from "../src/relay/session-state.ts";
import { reachTarget } from "../src/target/dial-and-login.ts";
import { dialDirectly } from "../src/target/dial.ts";
import { frontendTable } from "../src/wire/message-table.ts";
import { eraseLiterals } from "../src/relay/literals.ts";
import { RawClient } from "./raw-client.ts";
import { appConnection } from "./test-gateway.ts";

/**
 * A relay in front of a real target, on a bus in memory that acknowledges when the test says so: for what happens between
 * a decision and its acknowledgement. The client is logged in already.
 */
export interface SteppedRelay extends TestSession {
  readonly client: RawClient;
  readonly relay: Relay;
  readonly questions: PolicyQuestion[];
  readonly cancels: () => number;
  /** records so far, of `kind` */
  facts(kind: string): { command?: number; [field: string]: unknown }[];
  /** waits until a record holds, acknowledging nothing */
  recorded(kind: string, command: number): Promise<void>;
  stop(): Promise<void>;
}

export interface SteppedOptions {
  readonly port: number;
  readonly decide?: (question: PolicyQuestion) => Partial<Verdict> | Promise<Partial<Verdict>>;
  readonly links?: Partial<Links>;
  readonly cancelAtTarget?: () => Promise<void>;
  readonly log?: Logger;
}

export async function startSteppedRelay(options: SteppedOptions): Promise<SteppedRelay> {
  const questions: PolicyQuestion[] = [];
  const policy: Links["policy"] = {
    check: async (question) => {
      questions.push(question);
      return signedVerdict(question, (await options.decide?.(question)) ?? {});
    },
  };
  const [theirs, ours] = duplexPair();
  const lane = { inFlight: 256, eagerInFlight: 256, ackTimeoutMs: 60_000, giveUpMs: 60_000 };
  const made = await testSession({ lane, literals: eraseLiterals, links: { policy, ...options.links } }, ours);
  const connection = Connection.fromPartial(appConnection(options.port));
  const request = { connection, database: "postgres", parameters: [] };
  const target = await reachTarget(dialDirectly, request, AbortSignal.timeout(10_000));
  let cancels = 0;
  const relay = new Relay({
    edge: { maskFor: made.maskFor },
    session: made.live,
    client: ours as unknown as Socket,
    target,
    table: frontendTable(16 * 1024 * 1024),
    state: new SessionState(),
    log: options.log ?? createLogger({ service: "test", instance: "test", log: { level: "silent" } }),
    observe: async () => true,
    cancelAtTarget: async () => {
      cancels += 1;
      await options.cancelAtTarget?.();
    },
  });
  const ended = relay.run();
  const client = new RawClient(theirs as unknown as Socket);
  const facts = (kind: string): Record<string, unknown>[] =>
    made.bus.records().flatMap(({ body }) => (body.fact?.$case === kind ? [{ ...body.fact.value }] : []));
  made.bus.automatic = true;
  return {
    ...made,
    client,
    relay,
    questions,
    cancels: () => cancels,
    facts,
    recorded: async (kind, command) => {
      await eventually(() => facts(kind).some((fact) => fact["command"] === command));
    },
    async stop() {
      made.bus.automatic = true;
      made.bus.ackAll();
      client.end();
      ours.destroy();
      await ended;
      await made.live.close();
      made.lane.close();
    },
  };
}
