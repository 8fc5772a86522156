import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { StateClaim } from "./state-claim.ts";

/** How to start one process and how to know that it is ready. */
export interface ProcessSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly uid?: number;
  readonly gid?: number;
  readonly cwd?: string;
  /**
   * Resolves when the process serves; rejects never: the supervisor bounds the wait and watches for exits. `log` returns
   * what the process has said since it was started.
   */
  readonly ready: (signal: AbortSignal, log: () => string) => Promise<void>;
  readonly stopSignal?: NodeJS.Signals;
  /** It ends by itself when its standard input closes. Others are sent their stop signal when the launcher is killed. */
  readonly noticesLauncher?: boolean;
  /** Start again when it ends by itself. */
  readonly restart: boolean;
}

export type ProcessState = "starting" | "ready" | "stopped" | "failed";

interface Managed {
  readonly spec: ProcessSpec;
  child: ChildProcess | undefined;
  state: ProcessState;
  wanted: boolean;
  failures: number;
  exited: Promise<void>;
}

const READY_TIMEOUT_MS = 90_000;
const STOP_TIMEOUT_MS = 5_000;
/** Starts that fail one after the other, after which it is given up. */
const MAX_FAILURES = 8;

/**
 * Starts processes, restarts those that die and stops all in the reverse order. It owns nothing of what they do.
 * Children hold the launcher's pipe as standard input, or ask the kernel for a signal at its death (prctl(2),
 * PR_SET_PDEATHSIG), so that they end with it even if it is killed. Each has a session of its own: Ctrl-C at the terminal is
 * for the launcher, which then ends them in order.
 */
export class Supervisor {
  readonly #managed = new Map<string, Managed>();
  readonly #logs: string;
  readonly #claim: StateClaim;
  readonly #onEvent: (line: string) => void;
  #over = false;

  constructor(logs: string, claim: StateClaim, onEvent: (line: string) => void) {
    this.#logs = logs;
    this.#claim = claim;
    this.#onEvent = onEvent;
  }

  /** Starts and waits until ready. Throws with the tail of the process's log when it ends or takes too long. */
  async start(spec: ProcessSpec): Promise<void> {
    if (this.#over) throw new Error(`${spec.name} is not started any more: everything was stopped`);
    const managed: Managed = {
      spec,
      child: undefined,
      state: "starting",
      wanted: true,
      failures: 0,
      exited: Promise.resolve(),
    };
    this.#managed.set(spec.name, managed);
    await this.#launch(managed);
  }

  pid(name: string): number | undefined {
    return this.#managed.get(name)?.child?.pid;
  }

  states(): ReadonlyMap<string, ProcessState> {
    return new Map([...this.#managed].map(([name, managed]) => [name, managed.state]));
  }

  /** Sends a signal; with `restart` in its spec the process comes back. */
  kill(name: string, signal: NodeJS.Signals): void {
    this.#managed.get(name)?.child?.kill(signal);
  }

  /** Ends one process for good and waits for it. */
  async stop(name: string): Promise<void> {
    const managed = this.#managed.get(name);
    if (managed === undefined) return;
    managed.wanted = false;
    const child = managed.child;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      child.kill(managed.spec.stopSignal ?? "SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
      await managed.exited;
      clearTimeout(timer);
    }
    managed.state = "stopped";
  }

  async restart(name: string): Promise<void> {
    const managed = this.#managed.get(name);
    if (managed === undefined) throw new Error(`no process is called ${name}`);
    await this.stop(name);
    managed.wanted = true;
    await this.#launch(managed);
  }

  /** Resolves when the process is ready again (after a kill). */
  async whenReady(name: string): Promise<void> {
    const managed = this.#managed.get(name);
    if (managed === undefined) throw new Error(`no process is called ${name}`);
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (managed.state !== "ready" || managed.child?.exitCode !== null || managed.child.signalCode !== null) {
      if (Date.now() > deadline) throw new Error(`${name} is not ready\n${this.logTail(name)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Stops everything for good, last started first. */
  async stopAll(groups?: readonly (readonly string[])[]): Promise<void> {
    this.#over = true;
    for (const managed of this.#managed.values()) managed.wanted = false;
    const order = groups ?? [...this.#managed.keys()].toReversed().map((name) => [name]);
    for (const group of order) await Promise.all(group.map((name) => this.stop(name)));
  }

  logFile(name: string): string {
    return join(this.#logs, `${name}.log`);
  }

  logTail(name: string, lines = 12): string {
    try {
      return readFileSync(this.logFile(name), "utf8").trimEnd().split("\n").slice(-lines).join("\n");
    } catch {
      return "";
    }
  }

  async #launch(managed: Managed): Promise<void> {
    const { spec } = managed;
    managed.state = "starting";
    const logFile = this.logFile(spec.name);
    const log = openSync(logFile, "a", 0o600);
    const from = statSync(logFile).size;
    const child = spawn(...withItsLauncher(spec), {
      stdio: ["pipe", log, log],
      detached: true,
      env: { ...process.env, ...spec.env },
      cwd: spec.cwd,
      uid: spec.uid,
      gid: spec.gid,
    });
    closeSync(log);
    managed.child = child;
    this.#record(spec, child);
    child.stdin?.on("error", () => undefined);
    let ended: string | undefined;
    managed.exited = new Promise((resolve) => {
      child.once("error", (error) => {
        ended = error.message;
        resolve();
      });
      child.once("exit", (code, signal) => {
        ended = signal === null ? `exit code ${code}` : `signal ${signal}`;
        this.#claim.ended(spec.name);
        resolve();
      });
    });
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), READY_TIMEOUT_MS);
    try {
      await Promise.race([
        spec.ready(abort.signal, () => readFileSync(logFile).subarray(from).toString("utf8")),
        managed.exited.then(() => {
          throw new Error(`ended with ${ended}`);
        }),
        new Promise((_, reject) =>
          abort.signal.addEventListener("abort", () => reject(new Error(`not ready in ${READY_TIMEOUT_MS / 1000} s`))),
        ),
      ]);
    } catch (error) {
      managed.state = "failed";
      child.kill("SIGKILL");
      throw new Error(
        `${spec.name} did not start: ${(error as Error).message}. The end of ${this.logFile(spec.name)}:\n${this.logTail(spec.name)}`,
        { cause: error },
      );
    } finally {
      clearTimeout(timer);
      abort.abort();
    }
    managed.state = "ready";
    void managed.exited.then(() => this.#onExit(managed, child, ended));
  }

  #record(spec: ProcessSpec, { pid }: ChildProcess): void {
    if (pid === undefined) return;
    this.#claim.started(spec.name, {
      pid,
      command: [spec.command, ...spec.args],
      stopSignal: spec.stopSignal ?? "SIGTERM",
      noticesLauncher: spec.noticesLauncher ?? false,
    });
  }

  async #onExit(managed: Managed, child: ChildProcess, ended: string | undefined): Promise<void> {
    if (managed.child !== child || !managed.wanted) return;
    managed.state = "failed";
    this.#onEvent(`${managed.spec.name} ended with ${ended}`);
    while (managed.spec.restart && managed.wanted) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(100 * 2 ** managed.failures, 5_000)));
      if (!managed.wanted) return;
      try {
        await this.#launch(managed);
        managed.failures = 0;
        this.#onEvent(`${managed.spec.name} is back`);
        return;
      } catch (error) {
        managed.failures += 1;
        // Whoever has stopped it meanwhile has stopped it for good.
        if (managed.failures >= MAX_FAILURES) managed.wanted = false;
        this.#onEvent(`${managed.spec.name} cannot be started: ${(error as Error).message.split("\n")[0]}`);
      }
    }
  }
}

const SETPRIV = "/usr/bin/setpriv";

/** Program and arguments. `setpriv` (util-linux) becomes the program; without it the next start ends what is left. */
function withItsLauncher({ command, args, noticesLauncher, stopSignal }: ProcessSpec): [string, string[]] {
  if (noticesLauncher === true || !existsSync(SETPRIV)) return [command, [...args]];
  return [SETPRIV, ["--pdeathsig", stopSignal ?? "SIGTERM", "--", command, ...args]];
}
