/**
 * Looks at candidate configurations beside the thread that decides: a thousand policies take long to check, and checks must
 * not wait for that (I9). The thread is replaced if it takes too long.
 */

import { Worker } from "node:worker_threads";
import { Configuration } from "@sallyport/proto/catalog_model";
import { ValidateResponse } from "@sallyport/proto/policy";
import { AppError } from "@sallyport/runtime";

interface Waiting {
  resolve: (response: ValidateResponse) => void;
  reject: (error: AppError) => void;
}

const DEADLINE_MS = 20_000;
const MAX_WAITING = 8;
const failed = (code: "exhausted" | "deadline" | "internal", message: string): AppError =>
  new AppError(code, "policy.validate", message);

export class Validator {
  #worker: Worker | undefined;
  #lastId = 0;
  readonly #waiting = new Map<number, Waiting>();

  /** Starts the thread before it is needed: loading the engine takes a while on a small machine. */
  warm(): void {
    this.#started();
  }

  async validate(configuration: Configuration): Promise<ValidateResponse> {
    if (this.#waiting.size >= MAX_WAITING) throw failed("exhausted", "too many configurations are being validated");
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<ValidateResponse>();
    this.#waiting.set(id, { resolve, reject });
    const timer = setTimeout(
      () => this.#end(failed("deadline", "the configuration takes too long to validate")),
      DEADLINE_MS,
    );
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has no origin
    this.#started().postMessage({ id, configuration: Configuration.encode(configuration).finish() });
    return promise.finally(() => clearTimeout(timer));
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#end(failed("internal", "the policy service is shutting down"));
    await worker?.terminate();
  }

  #started(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(new URL("./validate-worker.ts", import.meta.url), { name: "validator" });
    worker.unref();
    worker.on("message", ({ id, response }: { id: number; response: Uint8Array }) => {
      this.#waiting.get(id)?.resolve(ValidateResponse.decode(response));
      this.#waiting.delete(id);
    });
    worker.on("error", (cause) => {
      if (this.#worker === worker)
        this.#end(new AppError("internal", "policy.validate", "validation failed", { cause }));
    });
    this.#worker = worker;
    return worker;
  }

  /** Everything that waits fails; the next candidate gets a new thread. */
  #end(error: AppError): void {
    void this.#worker?.terminate();
    this.#worker = undefined;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
