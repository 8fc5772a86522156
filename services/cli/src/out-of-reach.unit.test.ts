import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { credentials, status } from "@grpc/grpc-js";
import { AccessServiceClient } from "@sallyport/proto/identity";
import { expect, test } from "vitest";
import { call } from "./api.ts";
import { remembersAddress, translate } from "./out-of-reach.ts";

const failed = (code: status, details: string): Error => Object.assign(new Error(details), { code, details });

test("a service that is away is named by its address, with what to do, and with no operation", async () => {
  const closed = createServer().listen(0, "127.0.0.1");
  await once(closed, "listening");
  const address = `127.0.0.1:${(closed.address() as AddressInfo).port}`;
  closed.close();
  await once(closed, "close");
  const client = new AccessServiceClient(address, credentials.createInsecure(), {
    interceptors: [remembersAddress(address)],
  });
  await expect(call(client, client.whoAmI, {})).rejects.toMatchObject({
    code: "unavailable",
    message: expect.stringMatching(
      new RegExp(`^The gateway does not answer at ${address}\\. Is the gateway running\\? .*npm start`),
    ),
  });
  client.close();
});

test("a service that does not reach another is told without its operation's name; other sentences stay", () => {
  const inner = translate(failed(status.UNAVAILABLE, "identity.authorize: the service cannot be reached"));
  expect(inner.message).toMatch(/^The gateway cannot answer now/);
  expect(inner.message).not.toContain("identity.");
  expect(translate(failed(status.UNAVAILABLE, "the identity provider cannot be reached")).message).toBe(
    "the identity provider cannot be reached",
  );
  expect(translate(failed(status.NOT_FOUND, "there is no such token"))).toMatchObject({ code: "not-found" });
});
