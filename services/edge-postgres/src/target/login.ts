import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { serialize } from "pg-protocol";
import type { Secret } from "@sallyport/runtime";
import {
  type Authentication,
  decodeAuthentication,
  decodeBackendKeyData,
  decodeFields,
  decodeParameterStatus,
} from "../wire/backend.ts";
import { WireFault } from "../wire/fault.ts";
import { Backend, backendTable } from "../wire/message-table.ts";
import { MessageSplitter } from "../wire/splitter.ts";
import { encodeStartup, PROTOCOL_3_0 } from "../wire/startup.ts";
import { conditionName } from "../wire/sqlstate.ts";
import type { Dialled } from "./dial.ts";
import { type ScramExchange, scram, ScramFault } from "./scram.ts";
import { TargetFault } from "./target-fault.ts";

/** A login at the target that is done: idle, silent, its socket paused and without listeners of ours. */
export interface TargetConnection {
  readonly socket: Socket | TLSSocket;
  readonly address: string;
  readonly tls: string;
  readonly role: string;
  /** what the server reported: server_version, client_encoding, … */
  readonly parameters: Map<string, string>;
  readonly key: { readonly processId: number; readonly secret: Buffer };
}

export interface TargetLogin {
  readonly user: string;
  readonly database: string;
  readonly password: Secret | undefined;
  /** further startup parameters, already checked */
  readonly parameters: readonly (readonly [string, string])[];
}

/**
 * Logs in: StartupMessage, then whatever the server asks for (section 54.2.1), until ReadyForQuery. Throws TargetFault;
 * then the socket is destroyed. The protocol version is 3.0: what 3.2 adds (long cancel keys) serves nobody here.
 */
export async function logIn(dialled: Dialled, login: TargetLogin, signal: AbortSignal): Promise<TargetConnection> {
  const { socket, address } = dialled;
  const dialogue = new Dialogue(dialled, login);
  try {
    socket.write(
      encodeStartup(PROTOCOL_3_0, [["user", login.user], ["database", login.database], ...login.parameters]),
    );
    await dialogue.run(signal);
  } catch (error) {
    socket.destroy();
    throw asFault(error, address);
  }
  const { parameters, key } = dialogue;
  return { socket, address, tls: dialled.tls, role: login.user, parameters, key };
}

function asFault(error: unknown, address: string): unknown {
  if (error instanceof WireFault)
    return new TargetFault("unavailable", `${address}: does not speak PostgreSQL's protocol`, { cause: error });
  if (error instanceof ScramFault)
    return new TargetFault("unavailable", `${address}: ${error.message} (SCRAM)`, { cause: error });
  return error;
}

class Dialogue {
  readonly parameters = new Map<string, string>();
  key: { processId: number; secret: Buffer } = { processId: 0, secret: Buffer.alloc(0) };
  readonly #dialled: Dialled;
  readonly #login: TargetLogin;
  readonly #splitter = new MessageSplitter(backendTable);
  #exchange: ScramExchange | undefined;
  #verified = false;

  constructor(dialled: Dialled, login: TargetLogin) {
    this.#dialled = dialled;
    this.#login = login;
  }

  async run(signal: AbortSignal): Promise<void> {
    let chunk: Buffer = Buffer.alloc(0);
    for (;;) {
      while (this.#splitter.next() === "message") {
        if (!(await this.#take())) continue;
        // What came behind ReadyForQuery is the session's.
        const { held } = this.#splitter;
        if (held > 0) this.#dialled.socket.unshift(chunk.subarray(chunk.length - held));
        return;
      }
      chunk = await nextChunk(this.#dialled, signal);
      this.#splitter.push(chunk);
    }
  }

  /** True: logged in. */
  async #take(): Promise<boolean> {
    const { type, bytes, start, end } = this.#splitter;
    const at = start + 5;
    switch (type) {
      case Backend.authentication:
        await this.#authenticate(decodeAuthentication(bytes, at, end));
        return false;
      case Backend.parameterStatus: {
        const { name, value } = decodeParameterStatus(bytes, at, end);
        if (this.parameters.size < 128) this.parameters.set(name, value);
        return false;
      }
      case Backend.backendKeyData:
        this.key = decodeBackendKeyData(bytes, at, end);
        return false;
      case Backend.readyForQuery:
        return true;
      case Backend.errorResponse:
        throw refusal(this.#dialled.address, this.#login, decodeFields(bytes, at, end).get("C") ?? "XX000");
      case Backend.noticeResponse:
        return false;
      default:
        throw new WireFault("unexpected message during login");
    }
  }

  async #authenticate(asked: Authentication): Promise<void> {
    switch (asked.kind) {
      case "ok":
        if (this.#exchange !== undefined && !this.#verified) throw new ScramFault("no server signature");
        return;
      case "cleartext":
        this.#send(serialize.password(this.#password()));
        return;
      case "md5":
        this.#send(serialize.password(md5(this.#login.user, this.#password(), asked.salt)));
        return;
      case "sasl":
        return this.#beginSasl(asked.mechanisms);
      case "sasl-continue":
        if (this.#exchange === undefined) throw new WireFault("SASL out of order");
        this.#send(serialize.sendSCRAMClientFinalMessage(await this.#exchange.answer(asked.data.toString("utf8"))));
        return;
      case "sasl-final":
        if (this.#exchange === undefined) throw new WireFault("SASL out of order");
        this.#exchange.verify(asked.data.toString("utf8"));
        this.#verified = true;
        return;
      case "unsupported":
        throw new TargetFault(
          "failed-precondition",
          `${this.#dialled.address}: asks for an authentication method that is not supported (code ${asked.code})`,
        );
      default:
        asked satisfies never;
    }
  }

  #beginSasl(mechanisms: readonly string[]): void {
    const { binding } = this.#dialled;
    const plus = mechanisms.includes("SCRAM-SHA-256-PLUS");
    if (!plus && !mechanisms.includes("SCRAM-SHA-256")) {
      throw new TargetFault(
        "failed-precondition",
        `${this.#dialled.address}: offers no SASL mechanism that is supported`,
      );
    }
    // Bound when both sides can; `supported` tells a server that could that somebody took the offer away.
    const used = plus || binding.kind === "none" ? binding : { kind: "supported" as const };
    this.#exchange = scram(this.#password(), used);
    this.#send(serialize.sendSASLInitialResponseMessage(this.#exchange.mechanism, this.#exchange.clientFirst));
  }

  #password(): string {
    const { password, user } = this.#login;
    if (password === undefined) {
      throw new TargetFault(
        "failed-precondition",
        `${this.#dialled.address}: wants a password for ${user}, and none is configured`,
      );
    }
    return password.expose();
  }

  #send(message: Buffer): void {
    this.#dialled.socket.write(message);
  }
}

/** `md5` + md5(md5(password + user) + salt), hexadecimal (section 54.2.1). */
function md5(user: string, password: string, salt: Buffer): string {
  const inner = createHash("md5")
    .update(password + user)
    .digest("hex");
  return `md5${createHash("md5").update(inner).update(salt).digest("hex")}`;
}

function refusal(address: string, login: TargetLogin, sqlstate: string): TargetFault {
  const known = /^[0-9A-Z]{5}$/.test(sqlstate) ? sqlstate : "XX000";
  switch (known) {
    case "28P01":
    case "28000":
      return new TargetFault(
        "failed-precondition",
        `${address}: does not accept the gateway's login as ${login.user} (${known})`,
      );
    case "3D000":
      return new TargetFault("not-found", `${address}: has no database ${login.database} (3D000)`);
    case "53300":
      return new TargetFault("exhausted", `${address}: has no connection left (53300)`);
    case "57P03":
      return new TargetFault("unavailable", `${address}: is starting up or shutting down (57P03)`);
    default:
      return new TargetFault("unavailable", `${address}: refuses the login: ${conditionName(known)} (${known})`);
  }
}

/** The next bytes from the target. The socket is paused again when this resolves. */
export function nextChunk(dialled: Pick<Dialled, "socket" | "address">, signal: AbortSignal): Promise<Buffer> {
  const { socket, address } = dialled;
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      socket.pause();
      socket.off("data", onData);
      socket.off("error", onError);
      socket.off("close", onClose);
      socket.off("end", onClose);
      signal.removeEventListener("abort", onAbort);
    };
    const fail = (fault: TargetFault): void => {
      stop();
      reject(fault);
    };
    const onData = (chunk: Buffer): void => {
      stop();
      resolve(chunk);
    };
    const onError = (cause: Error): void =>
      fail(new TargetFault("unavailable", `${address}: the connection broke`, { cause }));
    const onClose = (): void => fail(new TargetFault("unavailable", `${address}: the target closed the connection`));
    const onAbort = (): void => fail(new TargetFault("deadline", `${address}: no answer in time`));
    if (signal.aborted) return onAbort();
    if (socket.destroyed || socket.readableEnded) return onClose();
    socket.on("data", onData);
    socket.once("error", onError);
    socket.once("close", onClose);
    socket.once("end", onClose);
    signal.addEventListener("abort", onAbort, { once: true });
    socket.resume();
  });
}
