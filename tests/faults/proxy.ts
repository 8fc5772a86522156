import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/**
 * Stands between the edge and its target, to do to the target's side what a real one seldom does when asked. Between a
 * service and the bus, it is a partition.
 */
export class Proxy {
  readonly #server: Server;
  readonly #pairs = new Set<{ edge: Socket; target: Socket }>();
  #frozen = false;

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
      if (!proxy.#frozen) flow(pair);
    });
    const proxy = new Proxy(server);
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Nothing passes any more, and nobody is told: as a partition does it. */
  freeze(): void {
    this.#frozen = true;
    for (const { edge, target } of this.#pairs) {
      edge.unpipe(target).pause();
      target.unpipe(edge).pause();
    }
  }

  /** What was held up passes, and all that comes. */
  thaw(): void {
    if (!this.#frozen) return;
    this.#frozen = false;
    for (const pair of this.#pairs) flow(pair);
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

function flow({ edge, target }: { edge: Socket; target: Socket }): void {
  edge.pipe(target);
  target.pipe(edge);
}
