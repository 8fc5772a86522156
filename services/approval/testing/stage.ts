/** The whole service on real NATS and real gRPC, with an edge's and people's clients. */
import { readFile } from "node:fs/promises";
import { ApprovalServiceClient, ApprovalsServiceClient, RequestApprovalRequest } from "@sallyport/proto/approval";
import { bearer, callUnary, ensureStreams, publicClient, type Runtime } from "@sallyport/runtime";
import { createPki, startNatsServer, startTestRuntime, type TestNats, type TestPki } from "@sallyport/runtime/testing";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { startApproval } from "../src/approval.ts";
import { type ApprovalConfig, approvalConfig } from "../src/approval-config.ts";
import { dba, dba2, engineer, hold, person, security } from "./people.ts";
import { startPeers, type TestPeers } from "./peers.ts";
import { shownOf } from "./shown.ts";

export interface Stage {
  pki: TestPki;
  nats: TestNats;
  nc: NatsConnection;
  peers: TestPeers;
  edge: ApprovalServiceClient;
  people: ApprovalsServiceClient;
  /** Starts the service, on the same ports when it ran before. */
  start(extra?: object): Promise<void>;
  stop(): Promise<void>;
  end(): Promise<void>;
}

export async function openStage(): Promise<Stage> {
  const [pki, nats] = await Promise.all([createPki(), startNatsServer()]);
  const nc = await connect({ servers: nats.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  await ensureStreams(nc);
  const peers = await startPeers(pki);
  for (const one of [engineer, dba, dba2, security, person("auditor"), person("nobody")])
    peers.tokens.set(`token-of-${one.name}`, one);
  for (const one of ["dba", "dba2", "engineer"]) peers.allowed.add(`user:${one} approve orders`);
  peers.allowed.add("user:auditor audit ");
  let service: Runtime<ApprovalConfig> | undefined;
  let at: { internal?: string; public?: string } = {};
  let edgeRuntime: Runtime | undefined;
  const stage: Stage = {
    pki,
    nats,
    nc,
    peers,
    edge: undefined as never,
    people: undefined as never,
    start: async (extra = {}) => {
      const ports = {
        ...(at.internal ? { listen: at.internal } : {}),
        ...(at.public ? { publicListen: at.public } : {}),
      };
      service = await startTestRuntime("approval", {
        pki,
        nats: nats.url,
        peers: peers.peers,
        schema: approvalConfig,
        extra,
        ...ports,
      });
      at = await startApproval(service);
      service.ready();
      if (edgeRuntime) return;
      edgeRuntime = await startTestRuntime("edge-postgres", { pki, peers: { approval: at.internal! } });
      stage.edge = edgeRuntime.client(ApprovalServiceClient, "approval");
      stage.people = publicClient(ApprovalsServiceClient, at.public!, await readFile(pki.ca));
    },
    stop: async () => {
      await service?.stop("test");
      service = undefined;
    },
    end: async () => {
      await stage.stop();
      stage.people?.close();
      await edgeRuntime?.stop("test");
      await peers.stop();
      await nc.close();
      await nats.stop();
    },
  };
  return stage;
}

let command = 0;
export const digest = Buffer.alloc(32, 7);

/** A held command of engineer, each a new one. */
export const held = (change: Partial<RequestApprovalRequest> = {}): RequestApprovalRequest =>
  RequestApprovalRequest.fromPartial({
    sessionId: "s1",
    command: ++command,
    digest,
    principal: engineer,
    connection: "orders",
    database: "orders",
    text: "delete from orders where email = 'ada@example.org'",
    shown: shownOf("delete from orders where email = 'ada@example.org'"),
    normalized: "delete from orders where email = $1",
    holds: [hold("prod-delete", "dba")],
    edge: "edge-postgres-1",
    ...change,
  });

export const ask = async (stage: Stage, request = held()) => {
  const answer = await callUnary(stage.edge, "request", request, { deadlineMs: 5_000 });
  const { sessionId, command: number } = request;
  return { ...answer, unit: { approvalId: answer.approvalId, sessionId, command: number, digest } };
};

export const as = (name: string) => ({ deadlineMs: 5_000, metadata: bearer(`token-of-${name}`) });
