import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { AppError, splitHostPort } from "@sallyport/runtime";
import { refusalReport, TOO_MANY } from "./login-wording.ts";
import { serveClient, type SessionPlace } from "./session.ts";

export interface Listener {
  readonly host: string;
  readonly port: number;
  /** Takes no more clients. Those that are here stay until the edge ends their sessions. */
  close(): void;
}

/** Bytes of a client that was turned away are not read for ever. */
const TURNED_AWAY_MS = 500;

/** Binds `listen` (host:port, port 0: a free one). Throws AppError with the way out when that fails. */
export async function listen(place: SessionPlace, address: string): Promise<Listener> {
  const { host, port } = splitHostPort(address);
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000, pauseOnConnect: true });
  server.on("connection", (socket) => accept(place, socket));
  await bound(server, host, port, address);
  const at = server.address() as AddressInfo;
  return {
    host: at.address,
    port: at.port,
    close: () => void server.close(),
  };
}

function accept(place: SessionPlace, socket: Socket): void {
  // An error is followed by `close`, which whoever waits for the socket sees.
  socket.on("error", () => {});
  const handshake = place.edge.handshake();
  if (handshake === undefined) {
    const clientAddress = `${socket.remoteAddress ?? "unknown"}:${socket.remotePort ?? 0}`;
    place.edge.turnAway({ clientAddress }, "exhausted", TOO_MANY.message);
    socket.end(refusalReport(TOO_MANY));
    setTimeout(() => socket.destroy(), TURNED_AWAY_MS);
    return;
  }
  void serveClient(place, socket, handshake);
}

function bound(server: Server, host: string, port: number, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const why = cause.code === "EADDRINUSE" ? "another program listens there already" : (cause.code ?? "error");
      reject(
        new AppError("failed-precondition", "edge-postgres.listen", `cannot listen on ${address}: ${why}`, { cause }),
      );
    });
    server.listen({ host, port, backlog: 1024 }, () => resolve());
  });
}
