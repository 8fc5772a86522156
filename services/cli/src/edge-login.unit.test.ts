import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { expect, test } from "vitest";
import { dial, refusalOf, startupMessage } from "./edge-login.ts";
import type { Deployment, Profile } from "./home.ts";
import { startLocalProxy } from "./local-proxy.ts";

const deployment = { postgres: "127.0.0.1:1", ca: "/nowhere/ca.pem" } as Deployment;

function errorResponse(fields: string): Buffer {
  const head = Buffer.from([0x45, 0, 0, 0, 0]);
  const body = Buffer.from(`${fields}\0`);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

test("what the edge refuses is told in its words, with the exit code of its SQLSTATE", () => {
  const message = "there is no such connection";
  const refused = refusalOf(
    errorResponse(`SFATAL\0VFATAL\0C3D000\0M${message}\0H\`sallyport connections\` lists them.\0`),
    "nosuch",
  );
  expect(refused).toMatchObject({
    code: "not-found",
    message: `nosuch: ${message}. \`sallyport connections\` lists them.`,
  });
  expect(refusalOf(errorResponse("C42501\0Mnot by night\0"), "orders")).toMatchObject({
    code: "not-permitted",
    message: "orders: not by night",
  });
  expect(refusalOf(errorResponse("CXX000\0Mx\0"), "orders").code).toBe("failed-precondition");
  expect(refusalOf(Buffer.from([0x45, 0, 0, 0, 4]), "orders").message).toBe("The gateway refused the login.");
});

test("the startup message is laid out as section 54.7 says", () => {
  const message = startupMessage(0x0003_0000, new Map([["user", "dba"]]));
  expect(message.toString("latin1")).toBe("\0\0\0\x12\0\x03\0\0user\0dba\0\0");
  expect(message.readInt32BE(0)).toBe(message.length);
});

test("an edge that does not answer is named, with what to do", async () => {
  const closed = createServer().listen(0, "127.0.0.1");
  await once(closed, "listening");
  const { port } = closed.address() as AddressInfo;
  closed.close();
  await once(closed, "close");
  await expect(dial({ ...deployment, postgres: `127.0.0.1:${port}` })).rejects.toMatchObject({
    code: "unavailable",
    message: expect.stringMatching(new RegExp(`127\\.0\\.0\\.1:${port}\\. Is the gateway running\\? .*npm start`)),
  });
});

test("a port that is taken is told in a sentence with the way out", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as AddressInfo;
  const options = { deployment, profile: { user: "dba" } as Profile, connection: "orders", onProblem: () => undefined };
  await expect(startLocalProxy({ ...options, port })).rejects.toThrow(
    `Port ${port} is in use by another program. Choose another with --port, or leave it out: then a free one is taken.`,
  );
  taken.close();
});
