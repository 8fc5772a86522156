/**
 * Cancel keys name the edge that issued them, so that a cancel that a load balancer sends elsewhere finds its way over
 * `control.<edge>`. A key is 32 bits of process id (12 bits of the edge's name, 20 bits of a counter) and a secret.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { NatsConnection } from "@nats-io/transport-node";
import { control } from "@sallyport/proto/subjects";

export interface CancelKey {
  /** never 0 */
  readonly processId: number;
  readonly secret: Buffer;
}

export interface CancelControl {
  /** `secretBytes`: 4 (PostgreSQL 3.0) … 32. `onCancel` is called each time that somebody shows the key. */
  issue(secretBytes: number, onCancel: (clientAddress: string) => void): { key: CancelKey; withdraw(): void };
  /** A request from anybody. Passed on when another edge issued the key. Never tells whether it was right. */
  request(processId: number, secret: Buffer, clientAddress: string): void;
  close(): void;
}

const COUNTER_BITS = 20;
const LONGEST_SECRET = 256;
const LONGEST_ADDRESS = 64;

/** The 12 bits of an edge's name in its process ids. */
export function edgeTag(edge: string): number {
  return createHash("sha256").update(edge).digest().readUInt16BE(0) & 0xfff;
}

interface Issued {
  secret: Buffer;
  onCancel: (clientAddress: string) => void;
}

/** `siblings`: the other edges of this deployment, whose keys are passed on. */
export function cancelControl(
  nats: NatsConnection | undefined,
  edge: string,
  siblings: readonly string[],
): CancelControl {
  const tag = edgeTag(edge);
  const issued = new Map<number, Issued>();
  const others = siblings.filter((name) => name !== edge);
  let counter = randomBytes(4).readUInt32BE(0) % 2 ** COUNTER_BITS;

  const cancelHere = (processId: number, secret: Buffer, clientAddress: string): boolean => {
    const known = issued.get(processId);
    if (known === undefined || known.secret.length !== secret.length) return false;
    if (!timingSafeEqual(known.secret, secret)) return false;
    known.onCancel(clientAddress);
    return true;
  };

  const subscription = nats?.subscribe(control(edge), {
    callback(error, message) {
      if (error !== null) return;
      const request = readCancel(message.data);
      if (request !== undefined) cancelHere(request.processId, request.secret, request.clientAddress);
    },
  });

  return {
    issue(secretBytes, onCancel) {
      let processId: number;
      do {
        counter = (counter + 1) % 2 ** COUNTER_BITS;
        processId = (tag << COUNTER_BITS) | counter | 0;
      } while (processId === 0 || issued.has(processId));
      const secret = randomBytes(secretBytes);
      issued.set(processId, { secret, onCancel });
      return { key: { processId, secret }, withdraw: () => void issued.delete(processId) };
    },
    request(processId, secret, clientAddress) {
      if (secret.length > LONGEST_SECRET || cancelHere(processId | 0, secret, clientAddress)) return;
      const theirs = (processId >>> COUNTER_BITS) & 0xfff;
      for (const name of others) {
        if (edgeTag(name) !== theirs || nats === undefined || nats.isClosed()) continue;
        nats.publish(control(name), writeCancel(processId, secret, clientAddress.slice(0, LONGEST_ADDRESS)));
      }
    },
    close() {
      if (nats !== undefined && !nats.isClosed()) subscription?.unsubscribe();
    },
  };
}

/** Layout: int32 process id, uint8 length of the secret, secret, address as UTF-8 to the end. */
export function writeCancel(processId: number, secret: Buffer, clientAddress: string): Buffer {
  const head = Buffer.alloc(5);
  head.writeInt32BE(processId | 0, 0);
  head.writeUInt8(Math.min(secret.length, 255), 4);
  return Buffer.concat([head, secret.subarray(0, 255), Buffer.from(clientAddress, "utf8")]);
}

export function readCancel(data: Uint8Array): { processId: number; secret: Buffer; clientAddress: string } | undefined {
  if (data.length < 5 || data.length > 5 + 255 + 4 * LONGEST_ADDRESS) return undefined;
  const bytes = Buffer.from(data);
  const length = bytes.readUInt8(4);
  if (bytes.length < 5 + length) return undefined;
  return {
    processId: bytes.readInt32BE(0),
    secret: bytes.subarray(5, 5 + length),
    clientAddress: bytes.toString("utf8", 5 + length),
  };
}
