import { readFile } from "node:fs/promises";
import { inspect } from "node:util";
import { AppError } from "./app-error.ts";

const maxSecretBytes = 64 * 1024;

/** A credential in memory. Printing, logging or encoding it as JSON gives `[secret]`; only `expose()` gives it away. */
export class Secret {
  readonly #bytes: Buffer;

  constructor(value: string | Uint8Array) {
    this.#bytes = Buffer.from(value as string);
  }

  expose(): string {
    return this.#bytes.toString("utf8");
  }

  exposeBytes(): Buffer {
    return Buffer.from(this.#bytes);
  }

  toString(): string {
    return "[secret]";
  }

  toJSON(): string {
    return "[secret]";
  }

  [inspect.custom](): string {
    return "[secret]";
  }
}

export const secretReference = /^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$/;

/**
 * Resolves `env:NAME` or `file:PATH` (one trailing line end is dropped). `what` names the secret in errors.
 * Throws `invalid-input` for an unknown form, `failed-precondition` when there is nothing behind the reference.
 */
export async function resolveSecret(ref: string, what: string): Promise<Secret> {
  const op = "runtime.resolveSecret";
  if (!secretReference.test(ref))
    throw new AppError("invalid-input", op, `${what}: a secret is given as env:NAME or file:PATH`);
  const name = ref.slice(ref.indexOf(":") + 1);
  if (ref.startsWith("env:")) {
    const value = process.env[name];
    if (!value) throw new AppError("failed-precondition", op, `${what}: the environment variable ${name} is not set`);
    return new Secret(value);
  }
  let bytes: Buffer;
  try {
    bytes = await readFile(name);
  } catch (cause) {
    throw new AppError("failed-precondition", op, `${what}: cannot read the file ${name}`, { cause });
  }
  if (bytes.length === 0 || bytes.length > maxSecretBytes)
    throw new AppError("failed-precondition", op, `${what}: the file ${name} is empty or larger than 64 KiB`);
  return new Secret(bytes.at(-1) === 0x0a ? bytes.subarray(0, bytes.at(-2) === 0x0d ? -2 : -1) : bytes);
}
