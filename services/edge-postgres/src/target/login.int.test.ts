import { readFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createPki } from "@sallyport/runtime/testing";
import { Secret } from "@sallyport/runtime";
import { Connection, TargetRole } from "@sallyport/proto/catalog_model";
import { startPostgres, type TestPostgres } from "../../testing/postgres-server.ts";
import { dialDirectly } from "./dial.ts";
import { logIn } from "./login.ts";

let postgres: TestPostgres;
let files: { ca: string; cert: string; key: string };
let foreignCa: string;

beforeAll(async () => {
  const pki = await createPki();
  const server = await pki.issue("target");
  const client = await pki.issue("by_cert");
  foreignCa = (await createPki()).ca;
  files = { ca: pki.ca, cert: client.cert, key: client.key };
  postgres = await startPostgres({
    settings: { ssl: "on", ssl_ca_file: "ca.pem", ssl_cert_file: "server.pem", ssl_key_file: "server.key" },
    files: {
      "ca.pem": readFileSync(pki.ca, "utf8"),
      "server.pem": readFileSync(server.cert, "utf8"),
      "server.key": readFileSync(server.key, "utf8"),
    },
    hba: [
      "hostssl all by_cert 127.0.0.1/32 cert",
      "host all by_md5 127.0.0.1/32 md5",
      "host all by_password 127.0.0.1/32 password",
      "host all by_trust 127.0.0.1/32 trust",
      "hostssl all tls_only 127.0.0.1/32 scram-sha-256",
      "hostnossl all tls_only 127.0.0.1/32 reject",
      "host all all 127.0.0.1/32 scram-sha-256",
    ],
  });
  await postgres.query("SET password_encryption = 'md5'; CREATE ROLE by_md5 LOGIN PASSWORD 'right'");
  await postgres.query(
    `CREATE ROLE by_scram LOGIN PASSWORD 'right'; CREATE ROLE by_password LOGIN PASSWORD 'right';
     CREATE ROLE by_cert LOGIN; CREATE ROLE by_trust LOGIN; CREATE ROLE tls_only LOGIN PASSWORD 'right'`,
  );
});

afterAll(() => postgres?.stop());

interface Attempt {
  user: string;
  mode?: string;
  password?: string | undefined;
  host?: string;
  port?: number;
  database?: string;
  serverName?: string;
  ca?: string;
  withCert?: boolean;
}

async function attempt(a: Attempt): Promise<{ tls: string; version: string | undefined; bound: boolean }> {
  const role = TargetRole.fromPartial({
    user: a.user,
    ...(a.withCert ? { clientCertRef: `file:${files.cert}`, clientKeyRef: `file:${files.key}` } : {}),
  });
  const connection = Connection.fromPartial({
    name: "test",
    host: a.host ?? "127.0.0.1",
    port: a.port ?? postgres.port,
    tls: { mode: a.mode ?? "disable", caRef: `file:${a.ca ?? files.ca}`, serverName: a.serverName ?? "" },
  });
  const signal = AbortSignal.timeout(3_000);
  const dialled = await dialDirectly(connection, role, signal);
  const target = await logIn(
    dialled,
    {
      user: a.user,
      database: a.database ?? "postgres",
      password: a.password === undefined ? undefined : new Secret(a.password),
      parameters: [["application_name", "test"]],
    },
    signal,
  );
  target.socket.destroy();
  expect(target.key.processId).toBeGreaterThan(0);
  return { tls: target.tls, version: target.parameters.get("server_version"), bound: dialled.binding.kind === "bound" };
}

describe("logs in with", () => {
  test.each<[string, Attempt]>([
    ["SCRAM", { user: "by_scram", password: "right" }],
    ["SCRAM with channel binding over TLS", { user: "by_scram", password: "right", mode: "verify-full" }],
    ["MD5", { user: "by_md5", password: "right" }],
    ["a password in clear", { user: "by_password", password: "right", mode: "require" }],
    ["a client certificate", { user: "by_cert", mode: "verify-full", withCert: true }],
    ["nothing, where the target trusts", { user: "by_trust" }],
    ["TLS because the target insists", { user: "tls_only", password: "right", mode: "require" }],
  ])("%s", async (_, a) => {
    const { tls, version, bound } = await attempt(a);
    expect(version).toMatch(/^18/);
    // The server refuses a client that could bind the channel and says that it will not: bound here is bound there.
    expect(bound).toBe(a.mode !== undefined);
    if (a.mode === undefined) expect(tls).toBe("");
    else expect(tls).toMatch(/^TLSv1\.3 TLS_/);
  });
});

describe("TLS modes", () => {
  test("verify-ca does not look at the name", async () => {
    const named = { serverName: "elsewhere.example" };
    const { tls } = await attempt({ user: "by_scram", password: "right", mode: "verify-ca", ...named });
    expect(tls).not.toBe("");
  });
  test("verify-full does", async () => {
    const wrong = attempt({
      user: "by_scram",
      password: "right",
      mode: "verify-full",
      serverName: "elsewhere.example",
    });
    await expect(wrong).rejects.toThrow("the certificate is for another name");
  });
  test("a foreign CA is refused in both, and accepted by require", async () => {
    for (const mode of ["verify-ca", "verify-full"]) {
      await expect(attempt({ user: "by_scram", password: "right", mode, ca: foreignCa })).rejects.toThrow(
        "is not trusted",
      );
    }
    await attempt({ user: "by_scram", password: "right", mode: "require", ca: foreignCa });
  });
  test("an unknown mode is refused", async () => {
    await expect(attempt({ user: "by_scram", mode: "prefer" })).rejects.toThrow("unknown TLS mode");
  });
});

describe("says why not, without secrets", () => {
  test.each<[string, Attempt, string, string]>([
    [
      "wrong password",
      { user: "by_scram", password: "wrong-secret" },
      "failed-precondition",
      "does not accept the gateway's login as by_scram (28P01)",
    ],
    ["wrong password (MD5)", { user: "by_md5", password: "wrong-secret" }, "failed-precondition", "28P01"],
    ["no password configured", { user: "by_scram" }, "failed-precondition", "none is configured"],
    ["no TLS where the target insists", { user: "tls_only", password: "right" }, "failed-precondition", "28000"],
    [
      "unknown database",
      { user: "by_scram", password: "right", database: "nowhere" },
      "not-found",
      "has no database nowhere (3D000)",
    ],
    ["nobody listens", { user: "by_scram", port: 1 }, "unavailable", "connection refused"],
    ["unknown host", { user: "by_scram", host: "nowhere.invalid" }, "unavailable", "cannot be resolved"],
  ])("%s", async (_, a, code, message) => {
    const error = await attempt(a).then(
      () => undefined,
      (e: Error & { code: string }) => e,
    );
    expect(error).toMatchObject({ name: "TargetFault", code });
    expect(error?.message).toContain(message);
    expect(JSON.stringify([error, error?.message, error?.stack])).not.toContain("wrong-secret");
  });
});

describe("a hostile target", () => {
  let server: Server;
  const behave = async (say: (socket: Socket) => void, mode = "disable"): Promise<unknown> => {
    const sockets: Socket[] = [];
    server = createServer((socket) => {
      sockets.push(socket.on("error", () => {}));
      say(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    try {
      return await attempt({ user: "u", password: "secret", port, mode }).catch((e: unknown) => e);
    } finally {
      sockets.forEach((s) => s.destroy());
      server.close();
    }
  };

  test.each<[string, (socket: Socket) => void, string, string?]>([
    ["garbage", (s) => s.write("HTTP/1.1 400 Bad Request\r\n\r\n"), "does not speak PostgreSQL's protocol"],
    ["silence", () => {}, "no answer in time"],
    ["hanging up", (s) => s.end(), "closed the connection"],
    ["bytes behind the answer to SSLRequest", (s) => s.write("SR"), "unexpected answer", "require"],
    ["no TLS", (s) => s.write("N"), "offers no TLS", "require"],
    ["a login without a server signature", (s) => s.write(sasl()), "SCRAM"],
    ["Kerberos", (s) => s.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 7])), "not supported (code 7)"],
  ])("%s", async (_, say, message, mode) => {
    expect(String(await behave(say, mode))).toContain(message);
  });
});

/** Offers SCRAM and then says OK at once. */
function sasl(): Buffer {
  const offer = Buffer.from("R\0\0\0\0\0\0\0\x0aSCRAM-SHA-256\0\0", "latin1");
  offer.writeUInt32BE(offer.length - 1, 1);
  return Buffer.concat([offer, Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0])]);
}
