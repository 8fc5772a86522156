/** An edge's side of the log, for tests: sessions with real chains, in batches as a lane sends them. */
import { createHash, randomBytes } from "node:crypto";
import { FrameBatch, RecordBody, RecordHeader, RecordKind } from "@sallyport/proto/record";

type Fact = NonNullable<RecordBody["fact"]>;
/** A fact with the fields that matter. */
export type PartialFact = { [K in Fact["$case"]]: { $case: K; value: object } }[Fact["$case"]];

export interface TestRecord {
  header: Buffer;
  body: Buffer;
  chain: Buffer;
}

export interface SessionOf {
  sessionId: string;
  principalId?: string;
  actors?: string[];
  connection?: string;
}

const sha256 = (...parts: Buffer[]): Buffer =>
  parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();

export class TestSession {
  readonly #of: Required<SessionOf>;
  #chain: Buffer = Buffer.alloc(32);
  seq = 0;
  atUs: number;

  constructor(of: SessionOf, atMs = Date.now()) {
    this.#of = { principalId: "user:engineer", actors: [], connection: "orders", ...of };
    this.atUs = atMs * 1000;
  }

  get id(): string {
    return this.#of.sessionId;
  }

  record(fact: PartialFact): TestRecord {
    const body = Buffer.from(RecordBody.encode(RecordBody.fromPartial({ fact })).finish());
    const kindName = `RECORD_KIND_${fact.$case.replace(/[A-Z]/g, (c) => `_${c}`).toUpperCase()}`;
    this.atUs += 100;
    const header = Buffer.from(
      RecordHeader.encode({
        sessionId: this.#of.sessionId,
        principalId: this.#of.principalId,
        actors: this.#of.actors,
        connection: this.#of.connection,
        protocol: "postgresql",
        seq: ++this.seq,
        atUs: this.atUs,
        kind: RecordKind[kindName as keyof typeof RecordKind],
        bodyLength: body.length,
      }).finish(),
    );
    this.#chain = sha256(this.#chain, header, sha256(body));
    return { header, body, chain: this.#chain };
  }
}

export class TestLane {
  readonly edge: string;
  readonly lane: number;
  readonly epoch: number;
  #batchNo = 0;
  #previous: Buffer = Buffer.alloc(0);

  constructor(edge: string, lane = 0, epoch = Date.now()) {
    this.edge = edge;
    this.lane = lane;
    this.epoch = epoch;
  }

  batch(records: TestRecord[]): Buffer {
    const batch = {
      edge: this.edge,
      lane: this.lane,
      epoch: this.epoch,
      batchNo: ++this.#batchNo,
      prevHash: this.#previous,
      records,
    };
    const bytes = Buffer.from(FrameBatch.encode(batch).finish());
    const head = Buffer.from(FrameBatch.encode({ ...batch, records: [] }).finish());
    this.#previous = sha256(head, ...records.map((record) => record.chain));
    return bytes;
  }
}

/** A query of a session as an edge records it: five records. */
export function queryRecords(
  session: TestSession,
  command: number,
  text: string,
  verdictId = "v1",
  row = randomBytes(40),
): TestRecord[] {
  return [
    session.record({
      $case: "commandAdmitted",
      value: { command, verdictId, unit: "simple-query", text, traceId: "0af7651916cd43dd8448eb211c80319c" },
    }),
    session.record({ $case: "commandForwarded", value: { command } }),
    session.record({ $case: "frameToClient", value: { command, data: row } }),
    session.record({
      $case: "commandCompleted",
      value: { command, status: 1, tag: "SELECT 1", rows: 1, bytesToClient: row.length, durationUs: 900, waitUs: 300 },
    }),
  ];
}
