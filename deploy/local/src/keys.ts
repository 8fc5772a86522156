import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createUser, fromSeed } from "@nats-io/nkeys";

/** Key files of a local deployment: made once, referenced by services as `file:` and never copied elsewhere. */
export interface KeyFiles {
  /** PKCS #8 PEM, Ed25519: identity signs access tokens with it. */
  readonly tokenSigning: string;
  /** 32 bytes, base64: identity seals provider refresh tokens with it. */
  readonly tokenSealing: string;
  /** 32 bytes, base64: policy's verdict MACs, checked by audit. */
  readonly verdictMac: string;
  /** 32 bytes, base64: masking's keyed hashes. */
  readonly maskingHash: string;
}

export function prepareKeys(folder: string): KeyFiles {
  const files: KeyFiles = {
    tokenSigning: join(folder, "token-signing.pem"),
    tokenSealing: join(folder, "token-sealing.key"),
    verdictMac: join(folder, "verdict-mac.key"),
    maskingHash: join(folder, "masking-hash.key"),
  };
  once(files.tokenSigning, () => generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }));
  for (const path of [files.tokenSealing, files.verdictMac, files.maskingHash]) {
    once(path, () => randomBytes(32).toString("base64") + "\n");
  }
  return files;
}

/** An nkey user for NATS: the seed stays in the file, the public key goes into the server's configuration. */
export function prepareNkey(folder: string, name: string): { seedFile: string; publicKey: string } {
  const seedFile = join(folder, `nats-${name}.nk`);
  once(seedFile, () => Buffer.from(createUser().getSeed()).toString("ascii") + "\n");
  return { seedFile, publicKey: fromSeed(readFileSync(seedFile).subarray(0, 58)).getPublicKey() };
}

/** A generated password, as a secret file. */
export function preparePassword(folder: string, name: string): { file: string; password: string } {
  const file = join(folder, name);
  once(file, () => randomBytes(18).toString("base64url"));
  return { file, password: readFileSync(file, "utf8").trim() };
}

function once(path: string, content: () => string): void {
  if (!existsSync(path)) writeFileSync(path, content(), { mode: 0o600 });
}
