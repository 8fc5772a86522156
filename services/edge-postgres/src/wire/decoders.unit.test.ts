import { serialize } from "pg-protocol";
import { describe, expect, test } from "vitest";
import * as backend from "./backend.ts";
import * as encode from "./encode.ts";
import { WireFault } from "./fault.ts";
import * as frontend from "./frontend.ts";
import { ALPN, decodeStartup, encodeCancelRequest, encodeSslRequest, encodeStartup, startupLength } from "./startup.ts";

const bytes = (...parts: (string | number[] | Buffer)[]): Buffer =>
  Buffer.concat(parts.map((p) => (typeof p === "string" ? Buffer.from(p) : Buffer.isBuffer(p) ? p : Buffer.from(p))));
const i16 = (n: number): Buffer => {
  const b = Buffer.alloc(2);
  b.writeInt16BE(n);
  return b;
};
const i32 = (n: number): Buffer => {
  const b = Buffer.alloc(4);
  b.writeInt32BE(n);
  return b;
};

type Decode = (body: Buffer, at: number, end: number) => unknown;
const places = backend.cellPlaces();
const dataRow: Decode = (b, at, end) => {
  backend.decodeDataRow(b, at, end, places);
  return Array.from(places.starts.slice(0, places.count), (start, i) =>
    (places.lengths[i] as number) < 0 ? null : b.toString("latin1", start, start + (places.lengths[i] as number)),
  );
};

const cases: [name: string, decode: Decode, body: Buffer, expected: unknown][] = [
  ["Query", frontend.decodeQuery, bytes("select 'ä'\0"), Buffer.from("select 'ä'")],
  [
    "Parse",
    frontend.decodeParse,
    bytes("s1\0select $1\0", i16(2), i32(23), i32(0)),
    { statement: "s1", text: Buffer.from("select $1"), parameterTypes: [23, 0] },
  ],
  [
    "Bind",
    frontend.decodeBind,
    bytes("p\0s\0", i16(1), i16(1), i16(2), i32(2), "ab", i32(-1), i16(2), i16(0), i16(1)),
    {
      portal: "p",
      statement: "s",
      parameterFormats: [1],
      parameters: [Buffer.from("ab"), undefined],
      resultFormats: [0, 1],
    },
  ],
  ["Describe", frontend.decodeNamed.bind(null, "Describe"), bytes("Sname\0"), { of: "statement", name: "name" }],
  ["Close", frontend.decodeNamed.bind(null, "Close"), bytes("P\0"), { of: "portal", name: "" }],
  ["Execute", frontend.decodeExecute, bytes("p\0", i32(10)), { portal: "p", maxRows: 10 }],
  [
    "FunctionCall",
    frontend.decodeFunctionCall,
    bytes(i32(1598), i16(0), i16(1), i32(1), "x", i16(1)),
    { functionOid: 1598, argumentFormats: [], arguments: [Buffer.from("x")], resultFormat: 1 },
  ],
  ["PasswordMessage", frontend.decodePassword, bytes(`${"t".repeat(9000)}\0`), "t".repeat(9000)],
  ["CopyFail", frontend.decodeCopyFail, bytes("no\0"), "no"],
  [
    "RowDescription",
    backend.decodeRowDescription,
    bytes(i16(1), "email\0", i32(16_390), i16(3), i32(25), i16(-1), i32(-1), i16(0)),
    [
      {
        name: "email",
        tableOid: 16_390,
        columnNumber: 3,
        typeOid: 25,
        typeSize: -1,
        typeModifier: -1,
        binary: false,
      },
    ],
  ],
  ["DataRow", dataRow, bytes(i16(3), i32(1), "a", i32(-1), i32(0)), ["a", null, ""]],
  ["CommandComplete", backend.decodeCommandComplete, bytes("INSERT 0 5\0"), "INSERT 0 5"],
  [
    "ErrorResponse",
    backend.decodeFields,
    bytes("SERROR\0C42P01\0Mno such table\0\0"),
    new Map([
      ["S", "ERROR"],
      ["C", "42P01"],
      ["M", "no such table"],
    ]),
  ],
  ["ParameterStatus", backend.decodeParameterStatus, bytes("TimeZone\0UTC\0"), { name: "TimeZone", value: "UTC" }],
  ["ReadyForQuery", backend.decodeReadyForQuery, bytes("T"), "T"],
  [
    "CopyResponse",
    backend.decodeCopyResponse,
    bytes([1], i16(2), i16(1), i16(1)),
    { binary: true, columnFormats: [1, 1] },
  ],
  [
    "NotificationResponse",
    backend.decodeNotification,
    bytes(i32(7), "ch\0hello\0"),
    { processId: 7, channel: "ch", payload: "hello" },
  ],
  [
    "BackendKeyData",
    backend.decodeBackendKeyData,
    bytes(i32(9), "abcd"),
    { processId: 9, secret: Buffer.from("abcd") },
  ],
  ["ParameterDescription", backend.decodeParameterDescription, bytes(i16(1), i32(23)), [23]],
  [
    "AuthenticationMD5",
    backend.decodeAuthentication,
    bytes(i32(5), "salt"),
    { kind: "md5", salt: Buffer.from("salt") },
  ],
  [
    "AuthenticationSASL",
    backend.decodeAuthentication,
    bytes(i32(10), "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"),
    { kind: "sasl", mechanisms: ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"] },
  ],
];

describe.each(cases)("%s", (name, decode, body, expected) => {
  test("whole, also in the middle of other bytes", () => {
    expect(decode(body, 0, body.length)).toEqual(expected);
    const among = bytes("xx", body, "yyyy");
    expect(decode(among, 2, 2 + body.length)).toEqual(expected);
  });

  // What ends where the message ends has no truncated form of its own.
  test.skipIf(["BackendKeyData"].includes(name))("truncated at every byte is a WireFault", () => {
    for (let end = 0; end < body.length; end++) {
      expect(() => decode(body, 0, end), `cut at ${end}`).toThrow(WireFault);
      // The bytes behind the cut are somebody else's and must not be read.
      expect(() => decode(body.subarray(0, end), 0, end), `alone, cut at ${end}`).toThrow(WireFault);
    }
  });

  test.skipIf(/BackendKeyData|Authentication/.test(name))("a byte too many is a WireFault", () => {
    expect(() => decode(bytes(body, [0]), 0, body.length + 1)).toThrow(WireFault);
  });

  test("fuzz: flipped bytes give a value or a WireFault", () => {
    let seed = body.length;
    const random = (n: number): number => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      return (seed >>> 8) % n;
    };
    for (let round = 0; round < 500; round++) {
      const bad = Buffer.from(body);
      for (let i = random(4); i >= 0; i--) bad[random(bad.length)] = random(256);
      try {
        decode(bad, 0, bad.length);
      } catch (error) {
        expect(error).toBeInstanceOf(WireFault);
      }
    }
  });
});

test("text that is not UTF-8 is refused with 22021", () => {
  const body = bytes("select '", [0xff], "'\0");
  expect(() => frontend.decodeQuery(body, 0, body.length)).toThrow(expect.objectContaining({ sqlstate: "22021" }));
});

test("a huge count with few bytes is refused before anything is allocated", () => {
  const body = bytes("p\0s\0", i16(0), i16(-1), i32(0), i16(0));
  expect(() => frontend.decodeBind(body, 0, body.length)).toThrow(/do not fit/);
});

test("rows of a tag", () => {
  expect(["SELECT 5", "INSERT 0 7", "BEGIN", "COPY 1000000", "CREATE TABLE"].map(backend.rowsOfTag)).toEqual([
    5, 7, 0, 1_000_000, 0,
  ]);
});

test("formats: none is text, one is for all, else each its own", () => {
  expect([[], [1], [0, 1]].map((list) => [frontend.isBinary(list, 0), frontend.isBinary(list, 1)])).toEqual([
    [false, false],
    [true, true],
    [false, true],
  ]);
});

describe("startup packets", () => {
  const startup = encodeStartup(0x0003_0000, [
    ["user", "engineer"],
    ["database", "orders/orders"],
  ]);

  test.each([
    ["SSLRequest", encodeSslRequest(), { kind: "ssl-request" }],
    ["GSSENCRequest", bytes(i32(8), i32(80_877_104)), { kind: "gssenc-request" }],
    [
      "CancelRequest 3.0",
      encodeCancelRequest(42, Buffer.from("abcd")),
      { kind: "cancel", processId: 42, secret: Buffer.from("abcd") },
    ],
    [
      "CancelRequest 3.2",
      encodeCancelRequest(42, Buffer.alloc(32, 1)),
      { kind: "cancel", processId: 42, secret: Buffer.alloc(32, 1) },
    ],
    [
      "StartupMessage",
      startup,
      {
        kind: "startup",
        major: 3,
        minor: 0,
        parameters: new Map([
          ["user", "engineer"],
          ["database", "orders/orders"],
        ]),
      },
    ],
  ])("%s", (_, packet, expected) => {
    expect(startupLength(packet)).toBe(packet.length);
    expect(decodeStartup(packet)).toEqual(expected);
  });

  test("length: unknown before four bytes, refused out of bounds", () => {
    expect(startupLength(startup.subarray(0, 3))).toBeUndefined();
    for (const length of [0, 7, 10_001, -1]) expect(() => startupLength(i32(length))).toThrow(WireFault);
    expect(() => startupLength(Buffer.from("GET / HTTP/1.1"))).toThrow(WireFault);
  });

  test("truncated and malformed are refused", () => {
    for (let end = 8; end < startup.length; end++)
      expect(() => decodeStartup(startup.subarray(0, end))).toThrow(WireFault);
    expect(() => decodeStartup(encodeStartup(0x0002_0000, []))).toThrow(expect.objectContaining({ sqlstate: "0A000" }));
    expect(() =>
      decodeStartup(
        encodeStartup(0x0003_0000, [
          ["user", "a"],
          ["user", "b"],
        ]),
      ),
    ).toThrow(/twice/);
    expect(() => decodeStartup(encodeCancelRequest(1, Buffer.alloc(300)))).toThrow(WireFault);
  });

  test("ALPN as registered", () => expect(ALPN).toBe("postgresql"));
});

test("what we say reads back", () => {
  const report = encode.encodeReport({
    severity: "ERROR",
    sqlstate: "42501",
    message: "no\0zero",
    detail: "why",
    hint: "what to do",
  });
  expect(String.fromCharCode(report[0] as number)).toBe("E");
  expect(Object.fromEntries(backend.decodeFields(report, 5, report.length))).toEqual({
    S: "ERROR",
    V: "ERROR",
    C: "42501",
    M: "no�zero",
    D: "why",
    H: "what to do",
  });
  const notice = encode.encodeReport({ severity: "NOTICE", sqlstate: "00000", message: "held" });
  expect(String.fromCharCode(notice[0] as number)).toBe("N");
});

test("what another implementation writes reads the same", () => {
  const read = <T>(decode: (b: Buffer, at: number, end: number) => T, message: Buffer): T =>
    decode(message, 5, message.length);
  expect(read(frontend.decodeQuery, serialize.query("select 'é'"))).toEqual(Buffer.from("select 'é'"));
  expect(read(frontend.decodeParse, serialize.parse({ name: "s", text: "select $1", types: [20] }))).toEqual({
    statement: "s",
    text: Buffer.from("select $1"),
    parameterTypes: [20],
  });
  const bind = serialize.bind({ portal: "p", statement: "s", values: ["a", null, Buffer.from([1])] });
  expect(read(frontend.decodeBind, bind)).toMatchObject({
    portal: "p",
    statement: "s",
    parameterFormats: [0, 0, 1],
    parameters: [Buffer.from("a"), undefined, Buffer.from([1])],
  });
  expect(read(frontend.decodeNamed.bind(null, "Describe"), serialize.describe({ type: "P", name: "p" }))).toEqual({
    of: "portal",
    name: "p",
  });
  expect(read(frontend.decodeExecute, serialize.execute({ portal: "p", rows: 9 }))).toEqual({
    portal: "p",
    maxRows: 9,
  });
  expect(read(frontend.decodePassword, serialize.password("token"))).toBe("token");
  const startup = serialize.startup({ user: "engineer" });
  expect(decodeStartup(startup)).toMatchObject({
    kind: "startup",
    parameters: new Map([
      ["user", "engineer"],
      ["client_encoding", "UTF8"],
    ]),
  });
  expect(decodeStartup(serialize.cancel(7, 0x61626364))).toEqual({
    kind: "cancel",
    processId: 7,
    secret: Buffer.from("abcd"),
  });
});
