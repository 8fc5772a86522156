import { expect, test } from "vitest";
import { CopyPieces } from "./copy-pieces.ts";
import { frontendTable, Frontend } from "./message-table.ts";
import { Handing, MessageSplitter } from "./splitter.ts";

const message = (data: string): Buffer => {
  const head = Buffer.from([Frontend.copyData, 0, 0, 0, 0]);
  head.writeUInt32BE(data.length + 4, 1);
  return Buffer.concat([head, Buffer.from(data)]);
};

function dataOf(bytes: Buffer): string[] {
  const found: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + bytes.readUInt32BE(at + 1);
    expect([bytes[at], end <= bytes.length]).toEqual([Frontend.copyData, true]);
    found.push(bytes.toString("utf8", at + 5, end));
    at = end;
  }
  return found;
}

test("in any split, what goes on is whole messages with the same data", () => {
  const stream = Buffer.concat(["ab", "x".repeat(40), "", "y".repeat(33), "cd"].map(message));
  const expected = dataOf(stream).join("");
  for (let i = 0; i <= stream.length; i++) {
    for (let j = i; j <= stream.length; j++) {
      const splitter = new MessageSplitter(frontendTable(1024), 8);
      splitter.handOut(Frontend.copyData, Handing.flow);
      const pieces = new CopyPieces();
      let data = "";
      for (const chunk of [stream.subarray(0, i), stream.subarray(i, j), stream.subarray(j)]) {
        splitter.push(chunk);
        while (splitter.next() === "message") {
          pieces.take(splitter.bytes, splitter.start, splitter.end);
          data += dataOf(pieces.bytes.subarray(pieces.start, pieces.end)).join("");
        }
      }
      expect(data).toBe(expected);
    }
  }
});

test("what is whole is not copied", () => {
  const stream = Buffer.concat([message("a"), message("b")]);
  const pieces = new CopyPieces();
  pieces.take(stream, 0, stream.length);
  expect(pieces.bytes).toBe(stream);
  expect([pieces.start, pieces.end]).toEqual([0, stream.length]);
});
