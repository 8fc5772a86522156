import { AppError } from "./app-error.ts";
import type { Logger } from "./log.ts";

const maxShutdownMs = 3_000;

export interface Shutdown {
  /** aborted when the process begins to end */
  signal: AbortSignal;
  /** Runs in the reverse order of registration, each after the one before. */
  onShutdown(name: string, stop: () => Promise<void> | void): void;
  /** Ends the process in order, within 3 s. */
  begin(reason: string, exitCode?: number): Promise<void>;
}

export interface ShutdownOptions {
  log: Logger;
  exit?: (code: number) => void;
  maxMs?: number;
}

export function createShutdown({ log, exit = process.exit, maxMs = maxShutdownMs }: ShutdownOptions): Shutdown {
  const controller = new AbortController();
  const steps: Array<{ name: string; stop: () => Promise<void> | void }> = [];
  let running: Promise<void> | undefined;

  async function run(reason: string, exitCode: number): Promise<void> {
    log.info({ reason }, "shutting down");
    const timer = setTimeout(() => {
      log.error("shutdown took too long");
      exit(exitCode || 1);
    }, maxMs);
    controller.abort(new AppError("cancelled", "runtime.shutdown", "shutting down"));
    for (const step of steps.toReversed()) {
      try {
        await step.stop();
      } catch (error) {
        log.error({ err: error, step: step.name }, "shutdown step failed");
      }
    }
    clearTimeout(timer);
    log.info("stopped");
    exit(exitCode);
  }

  return {
    signal: controller.signal,
    onShutdown: (name, stop) => void steps.push({ name, stop }),
    begin: (reason, exitCode = 0) => (running ??= run(reason, exitCode)),
  };
}

/** Signals, the launcher's end and bugs all lead to `begin`. A second signal ends the process at once. */
export function listenForTheEnd(shutdown: Shutdown, log: Logger): void {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (shutdown.signal.aborted) process.exit(1);
      void shutdown.begin(signal);
    });
  }
  const die = (error: unknown) => {
    // A process in an unknown state must not go on deciding or recording.
    log.fatal({ err: error }, error instanceof AppError ? error.message : "unexpected error");
    process.exit(1);
  };
  process.on("uncaughtException", die);
  process.on("unhandledRejection", die);
  if (process.env["SALLYPORT_EXIT_WITH_PARENT"] === "1") {
    // The launcher holds the other end of stdin and never writes: the pipe closes however the launcher dies.
    process.stdin.on("error", () => void shutdown.begin("parent gone"));
    process.stdin.on("close", () => void shutdown.begin("parent gone"));
    process.stdin.resume();
  }
}
