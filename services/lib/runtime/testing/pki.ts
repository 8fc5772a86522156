/** A tiny certificate authority for tests: files as the services' configurations name them. */
import "reflect-metadata";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

export interface CertificateFiles {
  cert: string;
  key: string;
  ca: string;
}

export interface TestPki {
  folder: string;
  ca: string;
  /** A certificate for `name` (CN), valid as a server for it, `localhost` and 127.0.0.1, and as a client. */
  issue(name: string): Promise<CertificateFiles>;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const dayMs = 24 * 3_600_000;
let serial = 1;

export async function createPki(folder?: string): Promise<TestPki> {
  x509.cryptoProvider.set(webcrypto as never);
  const at = folder ?? (await mkdtemp(join(tmpdir(), "sallyport-pki-")));
  const caKeys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const validity = { notBefore: new Date(Date.now() - dayMs), notAfter: new Date(Date.now() + dayMs) };
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: "CN=Sallyport test CA",
    ...validity,
    signingAlgorithm: algorithm,
    keys: caKeys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  });
  const ca = join(at, "ca.pem");
  await writeFile(ca, authority.toString("pem"));

  async function issue(name: string): Promise<CertificateFiles> {
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject: `CN=${name}`,
      issuer: authority.subject,
      ...validity,
      signingAlgorithm: algorithm,
      publicKey: keys.publicKey,
      signingKey: caKeys.privateKey,
      extensions: [
        new x509.BasicConstraintsExtension(false),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
        new x509.SubjectAlternativeNameExtension([
          { type: "dns", value: name },
          { type: "dns", value: "localhost" },
          { type: "ip", value: "127.0.0.1" },
        ]),
      ],
    });
    const files = { cert: join(at, `${name}.pem`), key: join(at, `${name}.key`), ca };
    const pkcs8 = x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
    await Promise.all([
      writeFile(files.cert, certificate.toString("pem")),
      writeFile(files.key, pkcs8, { mode: 0o600 }),
    ]);
    return files;
  }

  return { folder: at, ca, issue };
}

const serialNumber = (): string => (serial++).toString(16).padStart(8, "0");
