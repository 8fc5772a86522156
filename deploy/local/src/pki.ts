import "reflect-metadata";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

/**
 * A development PKI: one CA, one certificate per service. A service's common name is its identity for mTLS
 * (allow-lists name it); every certificate is also valid for `localhost` and 127.0.0.1, where everything listens.
 */
export interface Pki {
  readonly ca: string;
  certificate(name: string): { cert: string; key: string };
}

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const DAY_MS = 86_400_000;

/** Makes what is missing or about to expire in `folder`. Paths, not contents, are handed out. */
export async function preparePki(folder: string, names: readonly string[]): Promise<Pki> {
  x509.cryptoProvider.set(webcrypto);
  const ca = join(folder, "ca.crt");
  const paths = (name: string) => ({ cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) });
  const wanted = names.filter((name) => !existsSync(paths(name).cert) || !existsSync(paths(name).key));
  if (
    !existsSync(ca) ||
    expiresSoon(ca) ||
    names.some((name) => !wanted.includes(name) && expiresSoon(paths(name).cert))
  ) {
    await issueAll(ca, paths, names);
  } else if (wanted.length > 0) {
    // The CA's private key is never kept, so a new name means a new PKI.
    await issueAll(ca, paths, names);
  }
  return { ca, certificate: paths };
}

async function issueAll(
  ca: string,
  paths: (name: string) => { cert: string; key: string },
  names: readonly string[],
): Promise<void> {
  const notBefore = new Date(Date.now() - DAY_MS);
  const notAfter = new Date(Date.now() + 365 * DAY_MS);
  const caKeys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: "CN=Sallyport development CA",
    notBefore,
    notAfter,
    keys: caKeys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  });
  writeFileSync(ca, authority.toString("pem") + "\n", { mode: 0o644 });
  for (const name of names) {
    const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serial(),
      subject: `CN=${name}`,
      issuer: authority.subject,
      notBefore,
      notAfter,
      signingKey: caKeys.privateKey,
      publicKey: keys.publicKey,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
        new x509.SubjectAlternativeNameExtension([
          { type: "dns", value: "localhost" },
          { type: "dns", value: name },
          { type: "ip", value: "127.0.0.1" },
          { type: "ip", value: "::1" },
        ]),
      ],
    });
    const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
    writeFileSync(paths(name).key, x509.PemConverter.encode(pkcs8, "PRIVATE KEY") + "\n", { mode: 0o600 });
    writeFileSync(paths(name).cert, certificate.toString("pem") + "\n", { mode: 0o644 });
  }
}

function serial(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  bytes[0] = (bytes[0]! & 0x7f) | 0x01;
  return Buffer.from(bytes).toString("hex");
}

function expiresSoon(path: string): boolean {
  const certificate = new x509.X509Certificate(readFileSync(path, "utf8"));
  return certificate.notAfter.getTime() < Date.now() + 7 * DAY_MS;
}
