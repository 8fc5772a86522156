import type { Connection, Schema } from "@sallyport/proto/catalog_model";
import { AppError } from "@sallyport/runtime";
import { Configuration } from "@sallyport/proto/catalog_model";
import type { Event } from "@sallyport/proto/event";

export interface ObservedSchema {
  schema: Schema;
  digest: string;
  /** ms since 1970, when it was first seen to be so */
  atMs: number;
}

/** The fold that answers edges and people: what is configured, and which schema was last seen where. */
export class CatalogState {
  #configuration: Configuration = Configuration.fromPartial({});
  #digest = "";
  #connections: ReadonlyMap<string, Connection> = new Map();
  readonly #schemas = new Map<string, ObservedSchema>();

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
        const { connection, database, digest, schema } = event.fact.value;
        if (!schema) return;
        this.#schemas.set(JSON.stringify([connection, database]), { schema, digest, atMs: event.atMs });
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
    return this.schema(connection, database)?.digest ?? "";
  }

  /** undefined: never observed */
  schema(connection: string, database: string): ObservedSchema | undefined {
    return this.#schemas.get(JSON.stringify([connection, database]));
  }
}
