import { expect, test } from "vitest";
import { scram, ScramFault } from "./scram.ts";

// RFC 7677 section 3, with the user name that PostgreSQL leaves empty the signatures differ, so the example is
// recomputed here by the server's own rules.
import { createHash, createHmac, pbkdf2Sync } from "node:crypto";

const nonce = "rOprNGfwEbeRWgbNEkqO";
const serverFirst = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const hmac = (key: Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();

function server(password: string, clientFirstBare: string, clientFinal: string): { ok: boolean; final: string } {
  const salted = pbkdf2Sync(password, Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64"), 4096, 32, "sha256");
  const [withoutProof, proof] = clientFinal.split(",p=") as [string, string];
  const signed = `${clientFirstBare},${serverFirst},${withoutProof}`;
  const storedKey = createHash("sha256").update(hmac(salted, "Client Key")).digest();
  const signature = hmac(storedKey, signed);
  const clientKey = Buffer.from(Buffer.from(proof, "base64").map((b, i) => b ^ (signature[i] as number)));
  return {
    ok: createHash("sha256").update(clientKey).digest().equals(storedKey),
    final: `v=${hmac(hmac(salted, "Server Key"), signed).toString("base64")}`,
  };
}

test("a server that knows the password is satisfied, and satisfies us", async () => {
  const exchange = scram("pencil", { kind: "none" }, nonce);
  expect(exchange.clientFirst).toBe(`n,,n=,r=${nonce}`);
  const final = await exchange.answer(serverFirst);
  expect(final.startsWith("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=")).toBe(true);
  const answer = server("pencil", `n=,r=${nonce}`, final);
  expect(answer.ok).toBe(true);
  exchange.verify(answer.final);
});

test("channel binding stands in the first and in the final message", async () => {
  const bound = scram("pencil", { kind: "bound", data: Buffer.from("hash") }, nonce);
  expect(bound.mechanism).toBe("SCRAM-SHA-256-PLUS");
  expect(bound.clientFirst.startsWith("p=tls-server-end-point,,")).toBe(true);
  const c = /^c=([^,]+)/.exec(await bound.answer(serverFirst))?.[1] as string;
  expect(Buffer.from(c, "base64").toString()).toBe("p=tls-server-end-point,,hash");
  expect(scram("x", { kind: "supported" }, nonce).clientFirst.startsWith("y,,")).toBe(true);
});

test.each([
  ["another's nonce", "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"],
  ["our nonce alone", `r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`],
  ["no salt", `r=${nonce}x,i=4096`],
  ["endless work", `r=${nonce}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=999999999`],
  ["an extension that must be understood", `m=x,r=${nonce}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`],
  ["garbage", "\u0000\u0001"],
  ["too long", `r=${nonce}${"x".repeat(5000)},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`],
])("%s is refused", async (_, first) => {
  await expect(scram("pencil", { kind: "none" }, nonce).answer(first)).rejects.toThrow(ScramFault);
});

test("a server that does not know the password is refused", async () => {
  const exchange = scram("pencil", { kind: "none" }, nonce);
  expect(() => exchange.verify("v=AAAA")).toThrow(ScramFault);
  await exchange.answer(serverFirst);
  expect(() => exchange.verify(`v=${Buffer.alloc(32).toString("base64")}`)).toThrow(/wrong/);
  expect(() => exchange.verify("e=invalid-proof")).toThrow(/refused/);
});
