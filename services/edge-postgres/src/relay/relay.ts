import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Edge, EdgeSession, EndCause, SessionEnd } from "@sallyport/edge";
import { AppError, type Logger } from "@sallyport/runtime";
import { serialize } from "pg-protocol";
import { endOf } from "../deny.ts";
import type { TargetConnection } from "../target/login.ts";
import { WireFault } from "../wire/fault.ts";
import type { MessageTable } from "../wire/message-table.ts";
import { BackendState } from "./backend-state.ts";
import { Cancelling } from "./cancelling.ts";
import { ClientSide } from "./client-side.ts";
import type { Question } from "./command.ts";
import { FrontendState } from "./frontend-state.ts";
import { OwnQueries } from "./own-queries.ts";
import { Prepared } from "./prepared.ts";
import type { SessionState } from "./session-state.ts";
import { TargetOutbox } from "./target-outbox.ts";
import { TargetSide } from "./target-side.ts";

export interface RelayParts {
  readonly edge: Pick<Edge, "maskFor">;
  readonly session: EdgeSession;
  readonly client: Socket | TLSSocket;
  readonly target: TargetConnection;
  readonly table: MessageTable;
  readonly state: SessionState;
  readonly log: Logger;
  /** Observes the target's schema; false: it could not. */
  observe(): Promise<boolean>;
  /** Asks the target to cancel what runs, on a connection of its own, until that is closed. Never rejects. */
  cancelAtTarget(): Promise<void>;
}

/** Another service that is not there just now: no fault of the gateway's own (58000, as for a denied command). */
const passing: ReadonlySet<string> = new Set(["unavailable", "deadline", "exhausted"]);

/** How long a client has to take its last bytes, ms. */
const LAST_WORDS_MS = 1_000;
/** How long a target has to end after Terminate, ms. */
const GOODBYE_MS = 2_000;

/**
 * A socket that has more is read again at once, up to 32 times 64 KiB (libuv): a large result would keep every other session
 * waiting for 20 ms. After so many bytes in one turn of the event loop, the rest has to wait for the next.
 */
const TURN_BYTES = 64 * 1024;
/** Shorter chunks are answers to small commands: they are not counted. */
const RECORD_OF_RESULT = 8 * 1024;

/**
 * The relay of one session: both sides, the two sockets, and the end. `run` resolves when both sockets are done with;
 * the caller closes the session.
 */
export class Relay {
  readonly #parts: RelayParts;
  readonly #backend = new BackendState<Question>();
  readonly #client: ClientSide;
  readonly #target: TargetSide;
  readonly #own = new OwnQueries();
  readonly #cancelling: Cancelling;
  #ending = false;
  /** the target's socket is not read in this turn any more */
  #resting = false;
  /** of long chunks, since the socket rested */
  #inTurn = 0;
  /** where more is known of the end than its cause */
  #sqlstate: string | undefined;
  #resolve: () => void = () => {};

  constructor(parts: RelayParts) {
    this.#parts = parts;
    const { edge, session, state, table, log } = parts;
    const prepared = new Prepared();
    this.#cancelling = new Cancelling(
      () => parts.cancelAtTarget(),
      () => (this.#ending ? 0 : this.#running()),
      () => this.#answered(),
    );
    const frontend = new FrontendState();
    const outbox = new TargetOutbox(parts.target.socket, this.#backend, () => this.#goOn());
    const broken = (error: unknown, side: EndCause): void => this.#broken(error, side);
    this.#client = new ClientSide({
      edge,
      session,
      table,
      frontend,
      backend: this.#backend,
      outbox,
      state,
      prepared,
      own: this.#own,
      needs: {
        observe: () => parts.observe(),
        cancelling: () => this.#cancelling.busy,
        more: () => {
          if (parts.client.isPaused()) parts.client.resume();
        },
        terminated: () => this.#terminated(),
        broken: (error) => broken(error, "protocol"),
      },
    });
    this.#target = new TargetSide({
      edge,
      session,
      backend: this.#backend,
      state,
      prepared,
      log,
      news: {
        failed: (cycle) => this.#client.failed(cycle),
        copyInBegan: () => this.#client.copyInBegan(),
        copyInEnded: () => frontend.copyInEnded(),
        answered: () => this.#answered(),
        withheld: (cycle) => this.#client.withheld(cycle),
        enough: () => this.#cancelling.ask(this.#running()),
        broken: (error) => broken(error, "target"),
      },
    });
  }

  /** Somebody with the session's key asks to cancel. */
  cancel(clientAddress: string): void {
    const { session } = this.#parts;
    if (this.#ending) return;
    const running = this.#running();
    session.gate.cancelRequested(clientAddress, running);
    if (this.#client.cancelHeld()) return;
    if (running !== 0) this.#cancelling.ask(running);
    else this.#client.cancelWaiting();
  }

  run(): Promise<void> {
    const { client, target, session } = this.#parts;
    const done = new Promise<void>((resolve) => (this.#resolve = resolve));
    session.gate.onDrain = () => this.#goOn();
    client.on("data", (chunk: Buffer) => {
      this.#client.take(chunk);
      if (!this.#client.thirsty) client.pause();
    });
    client.once("close", () => this.#clientGone());
    target.socket.on("data", (chunk: Buffer) => {
      this.#target.take(chunk);
      // over TLS a chunk is a record, of 8 KiB with PostgreSQL
      if (chunk.length >= RECORD_OF_RESULT && (this.#inTurn += chunk.length) >= TURN_BYTES) this.#rest();
      else if (this.#target.busy || session.gate.pressed) target.socket.pause();
    });
    target.socket.once("close", () => this.#targetGone());
    session.signal.addEventListener("abort", () => this.#end(session.signal.reason as SessionEnd), { once: true });
    if (session.signal.aborted) this.#end(session.signal.reason as SessionEnd);
    else if (client.destroyed) this.#clientGone();
    else if (target.socket.destroyed) this.#targetGone();
    else {
      this.#client.start();
      client.resume();
      target.socket.resume();
    }
    return done;
  }

  /** The command that the target works on; 0: none. */
  #running(): number {
    for (const question of this.#backend.outstanding()) {
      if (question.command !== undefined && !question.command.done) return question.command.no;
    }
    return 0;
  }

  #answered(): void {
    this.#client.answered();
    this.#goOn();
  }

  /** Whoever had to stop may go on. */
  #goOn(): void {
    if (this.#ending) return;
    const { target, session } = this.#parts;
    this.#client.resume();
    if (this.#resting || this.#target.busy || session.gate.pressed) return;
    if (target.socket.isPaused()) target.socket.resume();
  }

  /** More of a large result is taken in the next turn of the event loop: other sessions have theirs first. */
  #rest(): void {
    if (this.#resting || this.#ending) return;
    this.#resting = true;
    this.#parts.target.socket.pause();
    setImmediate(() => {
      this.#resting = false;
      this.#inTurn = 0;
      this.#goOn();
    });
  }

  #terminated(): void {
    this.#parts.session.end("client", "");
  }

  #clientGone(): void {
    const { session } = this.#parts;
    if (!this.#client.terminating || this.#ending) return session.end("client", "The client closed the connection.");
    // It has said goodbye behind a command that is still running: the command may end.
    const late = setTimeout(() => session.end("client", "The client closed the connection."), GOODBYE_MS);
    session.signal.addEventListener("abort", () => clearTimeout(late), { once: true });
  }

  #targetGone(): void {
    if (this.#ending) return;
    const { session, target } = this.#parts;
    session.end("target", `The target ${target.address} closed the connection.`);
  }

  #broken(error: unknown, side: EndCause): void {
    const { session, log } = this.#parts;
    if (error instanceof WireFault) {
      log.warn({ session: session.id, side, reason: error.message }, "a session broke the protocol");
      if (side === "protocol") this.#sqlstate = error.sqlstate;
      session.end(side, side === "protocol" ? error.message : "The target's answer could not be shown.");
      return;
    }
    if (error instanceof AppError) {
      log.warn({ err: error, session: session.id }, "a session cannot go on");
      if (passing.has(error.code)) this.#sqlstate = "58000";
      session.end("internal", `The session cannot go on: ${error.message}.`);
      return;
    }
    log.error({ err: error, session: session.id }, "a session failed");
    session.end("internal", "The gateway made a mistake, and ended the session to be safe.");
  }

  /** The one end, whatever the cause: cancel at the target, tell the client, close both. */
  #end(end: SessionEnd): void {
    if (this.#ending) return;
    this.#ending = true;
    const { client, session, target } = this.#parts;
    const mayTell = this.#target.atBoundary && !this.#target.saidFatal;
    const running = this.#running() !== 0;
    this.#client.end();
    this.#target.end();
    if (end.cause === "client") {
      if (running) void this.#parts.cancelAtTarget();
      return this.#close(running);
    }
    if (running) void this.#parts.cancelAtTarget();
    target.socket.destroy();
    const report = endOf(end, this.#sqlstate);
    if (end.cause === "bus") session.lastWords(mayTell ? report : Buffer.alloc(0));
    else if (mayTell) session.gate.release(0, report);
    const finish = (): void => {
      client.end();
      this.#finish();
    };
    if (end.cause === "bus") return finish();
    const late = setTimeout(finish, LAST_WORDS_MS);
    session.gate.afterRelease(() => {
      clearTimeout(late);
      finish();
    });
  }

  /** The client is gone or has said goodbye. */
  #close(running: boolean): void {
    const { client, target } = this.#parts;
    if (running || target.socket.destroyed) target.socket.destroy();
    else {
      target.socket.end(serialize.end());
      const late = setTimeout(() => target.socket.destroy(), GOODBYE_MS);
      target.socket.once("close", () => clearTimeout(late));
    }
    client.end();
    this.#finish();
  }

  #finish(): void {
    const { client, target } = this.#parts;
    // Whoever does not take its last bytes does not get them.
    const late = setTimeout(() => client.destroy(), LAST_WORDS_MS);
    client.once("close", () => clearTimeout(late));
    if (client.destroyed) clearTimeout(late);
    client.resume();
    target.socket.resume();
    this.#resolve();
  }
}
