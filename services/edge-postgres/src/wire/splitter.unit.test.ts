import { serialize } from "pg-protocol";
import { describe, expect, test } from "vitest";
import { WireFault } from "./fault.ts";
import { Backend, backendTable, Frontend, frontendTable } from "./message-table.ts";
import { Handing, MessageSplitter } from "./splitter.ts";

const row = (value: string): Buffer => {
  const bytes = Buffer.alloc(5 + 2 + 4 + value.length);
  bytes[0] = Backend.dataRow;
  bytes.writeUInt32BE(bytes.length - 1, 1);
  bytes.writeUInt16BE(1, 5);
  bytes.writeUInt32BE(value.length, 7);
  bytes.write(value, 11);
  return bytes;
};
const complete = Buffer.from([Backend.commandComplete, 0, 0, 0, 6, 0x58, 0]);

interface Handed {
  type: string;
  bytes: string;
  count: number;
  whole: boolean;
}

function all(splitter: MessageSplitter, chunks: Buffer[]): Handed[] {
  const handed: Handed[] = [];
  for (const chunk of chunks) {
    splitter.push(chunk);
    while (splitter.next() === "message") {
      handed.push({
        type: String.fromCharCode(splitter.type),
        bytes: splitter.bytes.subarray(splitter.start, splitter.end).toString("hex"),
        count: splitter.count,
        whole: splitter.whole,
      });
    }
  }
  return handed;
}

const SYNC = serialize.sync();
const commands = [
  serialize.parse({ name: "s", text: "select $1" }),
  SYNC,
  serialize.query("select 1"),
  serialize.execute({ portal: "p", rows: 0 }),
];
const stream = Buffer.concat(commands);
const frontend = (): MessageSplitter => new MessageSplitter(frontendTable(1 << 20));

describe("single", () => {
  test("whole", () => {
    expect(all(frontend(), [stream]).map((h) => h.bytes)).toEqual(commands.map((c) => c.toString("hex")));
  });

  test("split at every byte, and byte by byte", () => {
    const whole = all(frontend(), [stream]);
    for (let i = 0; i <= stream.length; i++) {
      expect(all(frontend(), [stream.subarray(0, i), stream.subarray(i)])).toEqual(whole);
    }
    expect(
      all(
        frontend(),
        [...stream].map((byte) => Buffer.from([byte])),
      ),
    ).toEqual(whole);
  });

  test("truncated: nothing of an incomplete message is handed out", () => {
    for (let i = 0; i < commands[0]!.length; i++) {
      expect(all(frontend(), [stream.subarray(0, i)])).toEqual([]);
    }
  });
});

describe("run and flow", () => {
  const rows = [row("a"), row("bb"), row("ccc")];
  const result = Buffer.concat([...rows, complete, row("d")]);
  const backend = (handing: Handing): MessageSplitter => {
    const splitter = new MessageSplitter(backendTable);
    splitter.handOut(Backend.dataRow, handing);
    return splitter;
  };

  test("a run is one stretch without a copy", () => {
    const splitter = backend(Handing.run);
    splitter.push(result);
    splitter.next();
    expect(splitter.bytes).toBe(result);
    expect([splitter.start, splitter.end, splitter.count]).toEqual([0, Buffer.concat(rows).length, 3]);
  });

  test.each([Handing.run, Handing.flow])("handing %i: any split gives the same bytes and count", (handing) => {
    for (let i = 0; i <= result.length; i++) {
      for (let j = i; j <= result.length; j += 3) {
        const handed = all(backend(handing), [result.subarray(0, i), result.subarray(i, j), result.subarray(j)]);
        expect(handed.map((h) => h.bytes).join("")).toBe(result.toString("hex"));
        expect(handed.reduce((n, h) => n + h.count, 0)).toBe(5);
        if (handing === Handing.run) expect(handed.every((h) => h.whole)).toBe(true);
        expect(handed.at(-1)?.whole).toBe(true);
      }
    }
  });

  test("up to a length a flowing message is handed out whole, however it is split", () => {
    const short = row("y".repeat(20));
    const long = row("x".repeat(200));
    const bytes = Buffer.concat([short, short, long, short, complete]);
    for (let i = 0; i <= bytes.length; i++) {
      for (let j = i; j <= bytes.length; j += 7) {
        const splitter = new MessageSplitter(backendTable, short.length);
        splitter.handOut(Backend.dataRow, Handing.flow);
        const handed = all(splitter, [bytes.subarray(0, i), bytes.subarray(i, j), bytes.subarray(j)]);
        expect(handed.map((h) => h.bytes).join("")).toBe(bytes.toString("hex"));
        expect(handed.reduce((n, h) => n + h.count, 0)).toBe(5);
      }
    }
    const splitter = new MessageSplitter(backendTable, short.length);
    splitter.handOut(Backend.dataRow, Handing.flow);
    expect(all(splitter, [bytes.subarray(0, short.length + 8)]).map((h) => h.bytes)).toEqual([short.toString("hex")]);
    expect(splitter.atBoundary).toBe(true);
  });

  test.each([Handing.run, Handing.flow])("handing %i: it is known where the first message begins", (handing) => {
    const four = [row("a".repeat(40)), row("b".repeat(30)), row("c"), row("d".repeat(50))];
    const bytes = Buffer.concat(four);
    const starts = four.map((_, i) => four.slice(0, i).reduce((sum, { length }) => sum + length, 0));
    for (let i = 1; i < bytes.length; i++) {
      for (const j of [i, Math.min(i + 7, bytes.length)]) {
        const splitter = backend(handing);
        const found: number[] = [];
        let handed = 0;
        for (const chunk of [bytes.subarray(0, i), bytes.subarray(i, j), bytes.subarray(j)]) {
          splitter.push(Buffer.from(chunk));
          while (splitter.next() === "message") {
            const { start, end, begins, count } = splitter;
            if (count > 0) found.push(handed + begins - start);
            handed += end - start;
          }
        }
        for (const at of found) expect(starts).toContain(at);
      }
    }
  });

  test("a flowing message is handed out in pieces and nothing is held", () => {
    const splitter = backend(Handing.flow);
    const big = row("x".repeat(1000));
    splitter.push(big.subarray(0, 100));
    splitter.next();
    expect([splitter.end - splitter.start, splitter.count, splitter.whole, splitter.held]).toEqual([100, 1, false, 0]);
    expect(splitter.atBoundary).toBe(false);
    expect(splitter.next()).toBe("more");
    splitter.push(big.subarray(100));
    splitter.next();
    expect([splitter.end - splitter.start, splitter.count, splitter.whole]).toEqual([big.length - 100, 0, true]);
    expect(splitter.atBoundary).toBe(true);
  });
});

describe("bounds", () => {
  const header = (type: number, length: number): Buffer => {
    const bytes = Buffer.alloc(5);
    bytes[0] = type;
    bytes.writeUInt32BE(length, 1);
    return bytes;
  };

  test.each([
    ["below its minimum", header(Frontend.query, 3), "08P01"],
    ["above the configured bound", header(Frontend.query, (1 << 20) + 1), "54000"],
    ["of a fixed length, longer", header(Frontend.sync, 5), "08P01"],
    ["negative as int32", header(Frontend.parse, 0xffff_ffff), "54000"],
    ["unknown type", header(0, 4), "08P01"],
  ])("%s", (_, bytes, sqlstate) => {
    for (const chunks of [[bytes], [...bytes].map((b) => Buffer.from([b]))]) {
      expect(() => all(frontend(), chunks)).toThrow(expect.objectContaining({ name: "WireFault", sqlstate }));
    }
  });

  test("a claimed length is not paid for before the bytes are here", () => {
    const splitter = frontend();
    const before = process.memoryUsage().arrayBuffers;
    const many = Array.from({ length: 200 }, () => {
      const other = frontend();
      other.push(header(Frontend.query, 1 << 20));
      expect(other.next()).toBe("more");
      return other;
    });
    expect(many.length).toBe(200);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20 * 1024 * 1024);
    expect(splitter.held).toBe(0);
  });
});

test("fuzz: garbage is either messages or a WireFault, in any split, and the bytes handed out are those that came", () => {
  let seed = 20_260_101;
  const random = (n: number): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed % n;
  };
  const types = Object.values(Backend);
  let faults = 0;
  let messages = 0;
  for (let round = 0; round < 3000; round++) {
    const splitter = new MessageSplitter(backendTable);
    splitter.handOut(Backend.dataRow, random(3) as Handing);
    splitter.handOut(Backend.copyData, random(3) as Handing);
    const parts: Buffer[] = [];
    for (let i = random(8); i >= 0; i--) {
      const body = Buffer.from(Array.from({ length: random(40) }, () => random(256)));
      const head = Buffer.alloc(5);
      head[0] = random(10) === 0 ? random(256) : (types[random(types.length)] as number);
      head.writeUInt32BE(random(12) === 0 ? random(0xffff_ffff) : body.length + 4, 1);
      parts.push(head, body);
    }
    const bytes = Buffer.concat(parts);
    let out = "";
    try {
      for (let at = 0; at < bytes.length;) {
        const size = 1 + random(64);
        for (const handed of all(splitter, [bytes.subarray(at, at + size)])) {
          out += handed.bytes;
          messages += handed.count;
        }
        at += size;
      }
    } catch (error) {
      expect(error).toBeInstanceOf(WireFault);
      faults += 1;
    }
    expect(bytes.toString("hex").startsWith(out)).toBe(true);
  }
  expect(faults).toBeGreaterThan(300);
  expect(messages).toBeGreaterThan(1000);
});
