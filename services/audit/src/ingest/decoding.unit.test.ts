import { FrameBatch, RecordBody, RecordHeader } from "@sallyport/proto/record";
import { Event } from "@sallyport/proto/event";
import { Verdict } from "@sallyport/proto/verdict";
import { expect, test } from "vitest";
import { messages } from "../../gen/messages.ts";
import { queryRecords, TestLane, TestSession } from "../../testing/lane-writer.ts";
import { factJson, messageOf } from "./fact-json.ts";
import { readFrameBatch } from "./frame-batch.ts";
import { LogBlock } from "./log-block.ts";
import { RecordHeaderReader } from "./record-header.ts";
import { VerdictKeys } from "./verdict-mac.ts";
import { WireError } from "./wire-reader.ts";

const batchOf = (commands: number): Buffer => {
  const session = new TestSession({ sessionId: "s-1", actors: ["workload:a", "agent:b"] });
  return new TestLane("edge-1", 3, 1_700_000_000_123).batch(
    Array.from({ length: commands }, (_, n) => queryRecords(session, n + 1, "SELECT 1")).flat(),
  );
};

test("frame-batch: as the generated decoder reads it", () => {
  const bytes = batchOf(20);
  const view = readFrameBatch(bytes);
  const decoded = FrameBatch.decode(bytes);
  expect(view).toMatchObject({
    edge: "edge-1",
    lane: 3,
    epoch: 1_700_000_000_123,
    batchNo: 1,
    prevHash: "",
    records: 80,
  });
  const headers = new RecordHeaderReader();
  for (const [i, record] of decoded.records.entries()) {
    const part = (n: number): Buffer => bytes.subarray(view.spans[i * 6 + n * 2], view.spans[i * 6 + n * 2 + 1]);
    expect([part(0), part(1), part(2)]).toEqual([record.header, record.body, record.chain]);
    const header = RecordHeader.decode(record.header);
    const read = headers.read(bytes, view.spans[i * 6] as number, view.spans[i * 6 + 1] as number);
    const { seq, atUs, kind, bodyLength, session } = read;
    expect({ seq, atUs, kind, bodyLength, ...session, bytes: undefined }).toEqual({ ...header, bytes: undefined });
  }
});

test("frame-batch: nothing may stand behind the records, where no digest covers it", () => {
  const bytes = batchOf(1);
  const again = FrameBatch.encode(FrameBatch.fromPartial({ prevHash: Buffer.alloc(32, 1) })).finish();
  expect(() => readFrameBatch(Buffer.concat([bytes, again]))).toThrow(WireError);
});

test("frame-batch: cut anywhere, or with any byte changed, it is read, refused or different, never a crash", () => {
  const bytes = batchOf(1);
  const block = new LogBlock(new VerdictKeys(new Map()));
  const take = (damaged: Buffer): void => {
    block.clear();
    const position = { stream: "FRAMES_0", incarnation: "x", sequence: 1, timeUs: 1 };
    try {
      block.addBatch(position, damaged, readFrameBatch(damaged), "", 1);
    } catch (error) {
      // nothing of it is left in the block
      if (!(error instanceof WireError) || block.rows > 0) throw error;
    }
  };
  for (let length = 0; length < bytes.length; length++) take(bytes.subarray(0, length));
  for (let at = 0; at < bytes.length; at++) {
    for (const value of [0, 0x7f, 0xff]) {
      const damaged = Buffer.from(bytes);
      damaged[at] = value;
      take(damaged);
    }
  }
});

test("log-block: a batch that turns out unreadable leaves the ones before it as they were", () => {
  const position = { stream: "FRAMES_0", incarnation: "x", sequence: 1, timeUs: 1 };
  const good = batchOf(3);
  const whole = new LogBlock(new VerdictKeys(new Map()));
  whole.addBatch(position, good, readFrameBatch(good), "h", 1);
  const expected = Buffer.concat(whole.parts());
  const block = new LogBlock(new VerdictKeys(new Map()));
  block.addBatch(position, good, readFrameBatch(good), "h", 1);
  const session = new TestSession({ sessionId: "s-2" });
  const records = queryRecords(session, 1, "SELECT 1");
  (records[3] as { header: Buffer }).header = Buffer.from([0x08]);
  const bad = new TestLane("edge-2").batch(records);
  expect(() => block.addBatch(position, bad, readFrameBatch(bad), "h", 13)).toThrow(WireError);
  expect(Buffer.concat(block.parts())).toEqual(expected);
});

test("record-header: a part that repeats later overrides, so it is not taken for the remembered session", () => {
  const headers = new RecordHeaderReader();
  const encode = (sessionId: string, principalId: string): Buffer =>
    Buffer.from(
      RecordHeader.encode({
        sessionId,
        principalId,
        actors: [],
        connection: "c",
        protocol: "p",
        seq: 1,
        atUs: 1,
        kind: 8,
        bodyLength: 0,
      }).finish(),
    );
  const one = encode("s-1", "user:a");
  expect(headers.read(one, 0, one.length).session.principalId).toBe("user:a");
  const other = encode("s-1", "user:b");
  expect(headers.read(other, 0, other.length).session.principalId).toBe("user:b");
  const both = Buffer.concat([one, Buffer.from([0x12, 0x06]), Buffer.from("user:c")]);
  expect(() => headers.read(both, 0, both.length)).toThrow(WireError);
});

/** Every field of a message filled with something recognisable. */
function filled(name: string, secret: string, depth = 0): Record<string, unknown> {
  const value: Record<string, unknown> = {};
  for (const [, field, type, of, repeated, sensitivity] of messages[name] ?? []) {
    if (of.endsWith("Entry")) continue;
    const mark = sensitivity === "secret" ? secret : `${name}.${field}`;
    const one =
      type === "message"
        ? depth > 6
          ? undefined
          : filled(of, secret, depth + 1)
        : type === "string"
          ? mark
          : type === "bytes"
            ? Buffer.from(mark)
            : type === "bool"
              ? true
              : 1;
    if (one !== undefined)
      value[field.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase())] = repeated ? [one, one] : one;
  }
  return value;
}

test("fact-json: what is sensitive is not in `data`, what is secret is nowhere, for every fact of the contract", () => {
  const secret = "do-not-show";
  const facts: [root: string, encode: (fact: object) => Uint8Array][] = [
    ["RecordBody", (fact) => RecordBody.encode(RecordBody.fromPartial({ fact } as never)).finish()],
    ["Event", (fact) => Event.encode(Event.fromPartial({ fact } as never)).finish()],
  ];
  let looked = 0;
  for (const [root, encode] of facts) {
    for (const [, field, type, of] of messages[root] ?? []) {
      if (type !== "message") continue;
      const $case = field.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase());
      const value = filled(of, secret);
      if (of === "VerdictReached")
        value["verdict"] = {
          verdict: Buffer.from(Verdict.encode(Verdict.fromPartial(filled("Verdict", secret) as never)).finish()),
          mac: Buffer.from("m"),
          keyId: "k",
        };
      const bytes = Buffer.from(encode({ $case, value }));
      const tagBytes = (bytes[0] as number) < 0x80 ? 1 : 2;
      const start = messageStart(bytes, tagBytes);
      const { data, sensitive } = factJson(messageOf(of), bytes, start, bytes.length);
      for (const text of [data, sensitive]) expect(text, of).not.toContain(secret);
      for (const [owner, rows] of Object.entries(messages)) {
        for (const [, name, , , , sensitivity] of rows) {
          if (sensitivity === "sensitive" && data.includes(`"${owner}.${name}"`))
            expect.fail(`${of}: ${owner}.${name} is sensitive and stands in data`);
          if (sensitivity === "public" && sensitive.includes(`"${owner}.${name}"`))
            expect.fail(`${of}: ${owner}.${name} is public and stands in sensitive`);
        }
      }
      expect(() => JSON.parse(data) as unknown).not.toThrow();
      looked++;
    }
  }
  expect(looked).toBeGreaterThan(30);
});

/** Skips the tag and the length of the fact. */
function messageStart(bytes: Buffer, tagBytes: number): number {
  let pos = tagBytes;
  while ((bytes[pos] as number) > 0x7f) pos++;
  return pos + 1;
}

test("fact-json: values as they are", () => {
  const read = (name: string, encoded: Uint8Array): unknown => {
    const bytes = Buffer.from(encoded);
    return factJson(messageOf(name), bytes, 0, bytes.length);
  };
  const body = RecordBody.encode(
    RecordBody.fromPartial({
      fact: {
        $case: "commandAdmitted",
        value: {
          command: 5,
          verdictId: "v",
          text: 'a\n"ß"\u0000',
          parameters: [
            { typeOid: 25, value: Buffer.from("x") },
            { typeOid: 23 },
            { binary: true, value: Buffer.from([255]) },
          ],
          resultFormats: [0, 1],
        },
      },
    } as never),
  ).finish();
  expect(read("CommandAdmitted", body.subarray(2))).toEqual({
    command: 5,
    data: '{"command":5,"verdict_id":"v","parameters":[{"type_oid":25},{"type_oid":23},{"binary":true}],"result_formats":[0,1]}',
    sensitive: '{"text":"a\\n\\"ß\\"\\u0000","parameters":[{"value":"x"},{},{"value":"\\\\xff"}]}',
  });
});
