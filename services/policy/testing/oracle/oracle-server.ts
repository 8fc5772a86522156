/** A real server that analyses statements and says what it understood. It executes none of them. */

import { readFileSync } from "node:fs";
import type pg from "pg";
import { startPostgres } from "../postgres.ts";
import { parseTree } from "./node-tree.ts";
import { ServerCatalog } from "./server-catalog.ts";
import { queriesOf } from "./query-tree.ts";
import type { TreeNode } from "./node-tree.ts";

export interface DescribedField {
  name: string;
  tableID: number;
  columnID: number;
}

export type Analysed =
  | {
      kind: "analysed";
      /** what it was rewritten to; empty for utility statements */
      queries: TreeNode[];
      /** its RowDescription; undefined: no result */
      fields: DescribedField[] | undefined;
    }
  | { kind: "refused"; message: string };

interface Messages {
  parse: (message: { name: string; text: string; types: number[] }) => void;
  describe: (message: { type: "S"; name: string }) => void;
  sync: () => void;
}

export class OracleServer {
  readonly client: pg.Client;
  readonly stop: () => Promise<void>;
  #catalog: ServerCatalog | undefined;

  private constructor(client: pg.Client, stop: () => Promise<void>) {
    this.client = client;
    this.stop = stop;
  }

  static async start(): Promise<OracleServer> {
    const { client, stop } = await startPostgres();
    try {
      await client.query(readFileSync(new URL("schema.sql", import.meta.url), "utf8"));
      const server = new OracleServer(client, stop);
      // Its own log needs none of it.
      await client.query(
        "SET debug_print_rewritten = on; SET debug_pretty_print = off; SET client_min_messages = log; SET log_min_messages = panic",
      );
      await server.look();
      return server;
    } catch (error) {
      await stop();
      throw error;
    }
  }

  get catalog(): ServerCatalog {
    if (this.#catalog === undefined) throw new Error("look() first");
    return this.#catalog;
  }

  /** Reads the catalogs again. */
  async look(): Promise<void> {
    const catalog = await ServerCatalog.read(this.client);
    this.#catalog = catalog;
    const made = await this.client.query<{ oid: number; definition: string }>(
      "SELECT oid::int4 AS oid, pg_get_viewdef(oid) AS definition FROM pg_class WHERE relkind = 'm'",
    );
    for (const { oid, definition } of made.rows) {
      const analysed = await this.analyse(definition.replace(/;\s*$/, ""));
      const [query] = analysed.kind === "analysed" ? analysed.queries : [];
      if (query === undefined) throw new Error(`no tree of ${definition}`);
      catalog.define(oid, query);
    }
  }

  /** Names of those views that could be made and are not temporary. */
  async makeViews(definitions: readonly string[]): Promise<string[]> {
    await this.client.query("SET debug_print_rewritten = off; CREATE SCHEMA IF NOT EXISTS made");
    const made: string[] = [];
    for (const [i, definition] of definitions.entries()) {
      try {
        await this.client.query(`CREATE VIEW made.v${i} AS ${definition}`);
        made.push(`made.v${i}`);
      } catch {
        // Two columns of one name, parameters, writing, or something temporary.
      }
    }
    await this.client.query("SET debug_print_rewritten = on");
    await this.look();
    return made;
  }

  /** One statement. */
  async analyse(text: string): Promise<Analysed> {
    let printed: string | undefined;
    let fields: DescribedField[] | undefined;
    let refused: string | undefined;
    const listen = (notice: { message?: string; detail?: string }): void => {
      if (notice.message?.startsWith("rewritten parse tree") === true) printed ??= notice.detail;
    };
    this.client.on("notice", listen as never);
    await new Promise<void>((resolve) => {
      this.client.query({
        submit: (connection: Messages) => {
          connection.parse({ name: "", text, types: [] });
          connection.describe({ type: "S", name: "" });
          connection.sync();
        },
        handleRowDescription: (message: { fields: DescribedField[] }) => void (fields = message.fields),
        handleError: (error: Error) => {
          refused = error.message;
          resolve();
        },
        handleReadyForQuery: () => resolve(),
      } as never);
    });
    this.client.off("notice", listen as never);
    if (refused !== undefined) return { kind: "refused", message: refused };
    const queries = printed === undefined ? [] : queriesOf(parseTree(printed));
    return { kind: "analysed", queries, fields };
  }
}
