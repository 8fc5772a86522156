import { expect, test } from "vitest";
import { cancelControl, edgeTag, readCancel, writeCancel } from "./cancel-control.ts";

test("a request on the wire is read back whole; anything else is nothing", () => {
  const secret = Buffer.from("0123456789abcdef", "hex");
  const bytes = writeCancel(-5, secret, "192.0.2.1");
  expect(readCancel(bytes)).toEqual({ processId: -5, secret, clientAddress: "192.0.2.1" });
  for (let length = 0; length < 5 + secret.length; length++)
    expect(readCancel(bytes.subarray(0, length))).toBeUndefined();
  expect(readCancel(Buffer.alloc(10_000))).toBeUndefined();
});

test("keys name their edge, are never 0, and differ", () => {
  const control = cancelControl(undefined, "edge-postgres-1", []);
  const keys = Array.from({ length: 100 }, () => control.issue(4, () => {}).key);
  expect(new Set(keys.map(({ processId }) => processId)).size).toBe(100);
  for (const { processId, secret } of keys) {
    expect(processId).not.toBe(0);
    expect((processId >>> 20) & 0xfff).toBe(edgeTag("edge-postgres-1"));
    expect(secret.length).toBe(4);
  }
});
