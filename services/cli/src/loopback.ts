import { createHash, randomBytes } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { AppError } from "@sallyport/runtime";

/** A code verifier and its S256 challenge (RFC 7636 section 4). */
export function createPkce(): { verifier: string; challenge: string } {
  const verifier = randomBytes(32).toString("base64url");
  return { verifier, challenge: createHash("sha256").update(verifier).digest("base64url") };
}

/** A one-time HTTP listener on the loopback interface that catches the browser's return (RFC 8252 section 7.3). */
export interface Loopback {
  readonly redirectUri: string;
  /** The whole URL that the browser came back with. */
  readonly callback: Promise<string>;
  close(): void;
}

const WAIT_MS = 5 * 60_000;

export async function listenOnLoopback(): Promise<Loopback> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://127.0.0.1");
    if (request.method !== "GET" || url.pathname !== "/callback") {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "content-type": "text/html; charset=utf-8", connection: "close" });
    response.end(page(url.searchParams.has("error")));
    resolve(`${redirectUri(server)}${url.search}`);
  });
  await new Promise<void>((done, failed) => {
    server.once("error", failed);
    server.listen(0, "127.0.0.1", done);
  });
  const timer = setTimeout(() => {
    reject(
      new AppError(
        "deadline",
        "cli.login",
        "Nobody came back from the browser within 5 minutes. Try again, or use `sallyport login --device`.",
      ),
    );
  }, WAIT_MS);
  timer.unref();
  return {
    redirectUri: redirectUri(server),
    callback: promise,
    close: () => {
      clearTimeout(timer);
      server.close();
      server.closeAllConnections();
    },
  };
}

function redirectUri(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`;
}

function page(failed: boolean): string {
  const text = failed
    ? "The login was not completed. The terminal says why."
    : "You are signed in. You can close this window.";
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Sallyport</title><body style="font:16px system-ui;margin:4rem"><h1>Sallyport</h1><p>${text}</p></body></html>`;
}
