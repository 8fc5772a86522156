import type { Connection } from "@sallyport/proto/catalog_model";
import { AppError } from "@sallyport/runtime";
import { Configuration } from "@sallyport/proto/catalog_model";
import type { Event } from "@sallyport/proto/event";

/** The fold that answers edges and people: what is configured, and which schema was last seen where. */
export class CatalogState {
  #configuration: Configuration = Configuration.fromPartial({});
  #digest = "";
  #connections: ReadonlyMap<string, Connection> = new Map();
  readonly #schemas = new Map<string, string>();

  apply(event: Event): void {
    switch (event.fact?.$case) {
      case "configurationApplied": {
        const { configuration, digest } = event.fact.value;
        if (!configuration) return;
        this.#configuration = configuration;
        this.#digest = digest;
        this.#connections = new Map(configuration.connections.map((connection) => [connection.name, connection]));
        break;
      }
      case "schemaObserved": {
        const { connection, database, digest } = event.fact.value;
        this.#schemas.set(JSON.stringify([connection, database]), digest);
        break;
      }
      default:
      // of no concern here
    }
  }

  get configuration(): Configuration {
    return this.#configuration;
  }

  /** Empty: nothing was ever applied. */
  get digest(): string {
    return this.#digest;
  }

  get connections(): readonly Connection[] {
    return this.#configuration.connections;
  }

  /** The connection and the database that was asked for, or its default. Throws `not-found` without naming any other. */
  resolve(name: string, database: string, op: string): { connection: Connection; database: string } {
    const connection = this.#connections.get(name);
    if (!connection) throw new AppError("not-found", op, "there is no such connection");
    const wanted = database === "" ? connection.defaultDatabase : database;
    if (wanted !== connection.defaultDatabase && !connection.databases.includes(wanted))
      throw new AppError("not-found", op, `${name} has no such database`);
    return { connection, database: wanted };
  }

  schemaDigest(connection: string, database: string): string {
    return this.#schemas.get(JSON.stringify([connection, database])) ?? "";
  }
}
