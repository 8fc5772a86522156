import { connect, createServer, type Server, type Socket } from "node:net";

/** Stands between the edge and its target, to do to the target's side what a real one seldom does when asked. */
export class Proxy {
  readonly #server: Server;
  readonly #pairs = new Set<{ edge: Socket; target: Socket }>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async between(port: number, target: { host: string; port: number }): Promise<Proxy> {
    const server = createServer((edge) => {
      const pair = { edge, target: connect({ host: target.host, port: target.port }) };
      proxy.#pairs.add(pair);
      for (const socket of [pair.edge, pair.target]) {
        socket.on("error", () => undefined);
        socket.on("close", () => {
          proxy.#pairs.delete(pair);
          pair.edge.destroy();
          pair.target.destroy();
        });
      }
      edge.pipe(pair.target);
      pair.target.pipe(edge);
    });
    const proxy = new Proxy(server);
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    return proxy;
  }

  /** The target dies: every connection to it is reset. */
  cut(): void {
    for (const { edge, target } of this.#pairs) {
      edge.resetAndDestroy();
      target.destroy();
    }
  }

  /** The target says this, in between. */
  inject(bytes: Buffer): void {
    for (const { edge } of this.#pairs) edge.write(bytes);
  }

  stop(): void {
    this.cut();
    this.#server.close();
  }
}
