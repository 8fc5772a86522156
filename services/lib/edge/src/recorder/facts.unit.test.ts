import { expect, test } from "vitest";
import { CommandAdmitted, CommandCompleted, CommandForwarded, FrameToClient } from "@sallyport/proto/record";
import {
  admittedSize,
  completedSize,
  forwardedSize,
  frameSize,
  utf8,
  writeAdmitted,
  writeCompleted,
  writeForwarded,
  writeFrame,
  type AdmittedFact,
} from "./facts.ts";
import { varintSize, writeVarint } from "./wire.ts";

const NUMBERS = [
  0,
  1,
  127,
  128,
  300,
  16_383,
  16_384,
  2 ** 21,
  2 ** 28 - 1,
  2 ** 28,
  2 ** 31,
  2 ** 32,
  2 ** 35,
  2 ** 42,
  2 ** 49,
  2 ** 53 - 1,
];
const TEXTS = ["", "x", "SELECT 1", "Grüße, 世界 🙂", "x".repeat(200), "y".repeat(20_000)];

/** Written into the middle of a dirty buffer, so that nothing relies on zeros. */
function written(size: number, write: (out: Buffer, at: number) => number): Buffer {
  const out = Buffer.alloc(size + 20, 0xee);
  const end = write(out, 10);
  expect(end).toBe(10 + size);
  expect(out.subarray(0, 10).every((byte) => byte === 0xee)).toBe(true);
  expect(out.subarray(end).every((byte) => byte === 0xee)).toBe(true);
  return out.subarray(10, end);
}

test("varints of every length", () => {
  for (const number of NUMBERS) {
    const expected = CommandForwarded.encode({ command: number }).finish();
    const actual = written(forwardedSize(number), (out, at) => writeForwarded(out, at, number));
    expect(actual).toEqual(Buffer.from(expected));
    const out = Buffer.alloc(12);
    expect(writeVarint(out, 0, number)).toBe(varintSize(number));
  }
});

test("CommandAdmitted is what the generated code reads and writes", () => {
  for (const text of TEXTS) {
    for (const number of NUMBERS) {
      const value: CommandAdmitted = {
        command: number,
        verdictId: text.slice(0, 30),
        approvalId: number % 2 === 0 ? "" : "a-1",
        unit: "portal",
        text,
        statementName: text.slice(0, 5),
        portalName: "",
        parameters: [
          { typeOid: 0, binary: false, value: undefined },
          { typeOid: number % 2 ** 32, binary: true, value: Buffer.alloc(0) },
          { typeOid: 25, binary: false, value: Buffer.from(text) },
        ],
        resultFormats: number === 0 ? [] : [0, 1, 300],
        traceId: "",
        textLength: number,
        parameterLengths: number === 0 ? [] : [0, 70_000, 1],
      };
      const fact: AdmittedFact = {
        ...value,
        verdictId: utf8(value.verdictId),
        approvalId: utf8(value.approvalId),
        unit: utf8(value.unit),
        text: Buffer.from(text),
        statementName: utf8(value.statementName),
        portalName: utf8(value.portalName),
        traceId: utf8(value.traceId),
      };
      const actual = written(admittedSize(fact), (out, at) => writeAdmitted(out, at, fact));
      // repeated numbers are packed, as proto3 has it; the generated code writes them one by one and reads both
      expect(CommandAdmitted.decode(actual)).toEqual(value);
      if (number === 0) expect(actual.equals(CommandAdmitted.encode(value).finish())).toBe(true);
    }
  }
});

test("CommandCompleted is what the generated code writes", () => {
  for (const number of NUMBERS) {
    const value: CommandCompleted = {
      command: number,
      status: 2,
      code: "42501",
      tag: "SELECT 5",
      rows: number,
      bytesToClient: number,
      durationUs: number,
      waitUs: 0,
    };
    const fact = { ...value, code: utf8(value.code), tag: utf8(value.tag) };
    const actual = written(completedSize(fact), (out, at) => writeCompleted(out, at, fact));
    expect(actual).toEqual(Buffer.from(CommandCompleted.encode(value).finish()));
  }
});

test("frames are what the generated code writes", () => {
  for (const text of TEXTS) {
    const data = Buffer.from(text);
    const none = new Uint8Array(0);
    const expected = FrameToClient.encode({ command: 7, data, columns: [] }).finish();
    const actual = written(frameSize(7, data.length, none), (out, at) => writeFrame(out, at, 7, data, none));
    expect(actual).toEqual(Buffer.from(expected));
  }
});
