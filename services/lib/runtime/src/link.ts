/** A long-lived bidirectional stream whose answers carry the id of their request and may come in any order. */
import type { ClientDuplexStream, Metadata } from "@grpc/grpc-js";
import { AppError } from "./app-error.ts";
import { fromStatus } from "./grpc-status.ts";
import type { Logger } from "./log.ts";

export interface LinkOptions<Q extends { id: number }, R extends { id: number }> {
  /** for errors and logs, e.g. `policy.check` */
  name: string;
  /** e.g. `() => client.check()` */
  open(): ClientDuplexStream<Q, R>;
  log: Logger;
  /** requests without an answer, at most (default 8192); further ones fail with `exhausted` */
  maxPending?: number;
}

export interface RequestSettings {
  deadlineMs: number;
  signal?: AbortSignal | undefined;
}

export interface Link<Q extends { id: number }, R extends { id: number }> {
  /**
   * Sends one request; the link sets its id. While there is no stream the request waits for one, within its deadline.
   * Rejects with AppError: `deadline`, `cancelled`, `exhausted`, or `unavailable` when the stream broke after it was sent.
   */
  request(message: Omit<Q, "id">, settings: RequestSettings): Promise<R>;
  /** a stream is open and the peer has said that it listens */
  ready(): boolean;
  pending(): number;
  close(): void;
}

interface Pending<Q, R> {
  message: Q | undefined;
  deadline: number;
  resolve(response: R): void;
  reject(error: AppError): void;
  signal: AbortSignal | undefined;
  onAbort: (() => void) | undefined;
}

const sweepMs = 10;
const backoffMs = { first: 50, most: 1_000 };
const maxId = 0xffff_ffff;

export function openLink<Q extends { id: number }, R extends { id: number }>(options: LinkOptions<Q, R>): Link<Q, R> {
  const link = new StreamLink<Q, R>(options);
  link.connect();
  return link;
}

class StreamLink<Q extends { id: number }, R extends { id: number }> implements Link<Q, R> {
  readonly #options: LinkOptions<Q, R>;
  readonly #pending = new Map<number, Pending<Q, R>>();
  readonly #maxPending: number;
  #stream: ClientDuplexStream<Q, R> | undefined;
  #listening = false;
  #closed = false;
  #nextId = 1;
  #attempts = 0;
  #sweeper: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: LinkOptions<Q, R>) {
    this.#options = options;
    this.#maxPending = options.maxPending ?? 8_192;
  }

  ready(): boolean {
    return this.#listening;
  }

  pending(): number {
    return this.#pending.size;
  }

  request(message: Omit<Q, "id">, { deadlineMs, signal }: RequestSettings): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      if (this.#closed) return reject(this.#error("unavailable", "the link is closed"));
      if (signal?.aborted) return reject(this.#error("cancelled", "cancelled"));
      if (this.#pending.size >= this.#maxPending)
        return reject(this.#error("exhausted", "too many requests wait for an answer"));
      const id = this.#takeId();
      const request = message as Q;
      request.id = id;
      const onAbort = signal ? () => this.#settle(id)?.reject(this.#error("cancelled", "cancelled")) : undefined;
      if (signal && onAbort) signal.addEventListener("abort", onAbort);
      const deadline = performance.now() + deadlineMs;
      this.#pending.set(id, {
        message: this.#listening ? undefined : request,
        deadline,
        resolve,
        reject,
        signal,
        onAbort,
      });
      // One timer for all: thousands of requests per second must not arm thousands of timers.
      this.#sweeper ??= setInterval(() => this.#sweep(), sweepMs);
      if (this.#listening) this.#stream!.write(request);
    });
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#stream?.cancel();
    this.#fail("the link is closed", true);
  }

  connect(): void {
    if (this.#closed) return;
    const stream = this.#options.open();
    this.#stream = stream;
    stream.on("metadata", (_headers: Metadata) => this.#onListening(stream));
    stream.on("data", (response: R) => this.#settle(response.id)?.resolve(response));
    stream.on("error", (error: unknown) => this.#onEnd(stream, fromStatus(error, this.#options.name).message));
    stream.on("end", () => this.#onEnd(stream, "the peer ended the stream"));
  }

  #onListening(stream: ClientDuplexStream<Q, R>): void {
    if (stream !== this.#stream || this.#listening) return;
    this.#listening = true;
    if (this.#attempts > 0) this.#options.log.info({ link: this.#options.name }, "link open again");
    this.#attempts = 0;
    for (const waiting of this.#pending.values()) {
      if (!waiting.message) continue;
      stream.write(waiting.message);
      waiting.message = undefined;
    }
  }

  #onEnd(stream: ClientDuplexStream<Q, R>, why: string): void {
    if (stream !== this.#stream) return;
    this.#stream = undefined;
    const wasListening = this.#listening;
    this.#listening = false;
    // Requests that were sent may or may not have been seen: their callers decide. The others still wait for a stream.
    this.#fail(`${this.#options.name} broke off`, false);
    if (this.#closed) return;
    const delay =
      Math.min(backoffMs.most, backoffMs.first * 2 ** Math.min(this.#attempts, 10)) * (0.75 + Math.random() / 2);
    if (wasListening || this.#attempts === 5)
      this.#options.log.warn({ link: this.#options.name, why }, "link broken, opening again");
    this.#attempts += 1;
    this.#retry = setTimeout(() => this.connect(), delay);
  }

  #fail(why: string, all: boolean): void {
    for (const [id, pending] of this.#pending) {
      if (all || !pending.message) this.#settle(id)?.reject(this.#error("unavailable", why));
    }
  }

  #settle(id: number): Pending<Q, R> | undefined {
    const pending = this.#pending.get(id);
    if (!pending) return undefined; // an answer after its deadline
    this.#pending.delete(id);
    if (pending.onAbort) pending.signal!.removeEventListener("abort", pending.onAbort);
    return pending;
  }

  #sweep(): void {
    const now = performance.now();
    for (const [id, pending] of this.#pending) {
      if (pending.deadline <= now)
        this.#settle(id)!.reject(this.#error("deadline", `${this.#options.name} gave no answer in time`));
    }
    if (this.#pending.size > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }

  #takeId(): number {
    do this.#nextId = this.#nextId >= maxId ? 1 : this.#nextId + 1;
    while (this.#pending.has(this.#nextId));
    return this.#nextId;
  }

  #error(code: "unavailable" | "cancelled" | "exhausted" | "deadline", message: string): AppError {
    return new AppError(code, this.#options.name, message);
  }
}
