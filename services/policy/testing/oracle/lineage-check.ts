/** One statement after the other through the server and through the analyser. */

import { ColumnFlow, NamedStatement_Kind, OutputColumn } from "@sallyport/proto/verdict";
import type { NamedStatement } from "@sallyport/proto/verdict";
import { lineageOf } from "../../src/lineage/lineage.ts";
import type { TextLineage } from "../../src/lineage/lineage.ts";
import { ColumnClasses } from "../../src/schema/classes.ts";
import { SchemaIndex } from "../../src/schema/schema-index.ts";
import { loadParser, parse } from "../../src/sql/parser.ts";
import type { RawStatement } from "../../src/sql/parser.ts";
import { columnMissing, compare } from "./compare.ts";
import type { Comparison } from "./compare.ts";
import { observedSchema } from "./observed-schema.ts";
import { OracleServer } from "./oracle-server.ts";
import type { TrueColumn } from "./true-column.ts";
import { trueLineage } from "./true-lineage.ts";
import type { TrueLineage } from "./true-lineage.ts";

export type Checked = { kind: "refused"; message: string } | ({ kind: "compared" } & Comparison);

export class LineageCheck {
  readonly server: OracleServer;
  #index: SchemaIndex;
  readonly #temporary: ColumnFlow[];
  #searchPath: readonly string[] = ["public"];
  readonly #trees = new Map<string, readonly RawStatement[] | "unknown">();

  private constructor(server: OracleServer, index: SchemaIndex, temporary: ColumnFlow[]) {
    this.server = server;
    this.#index = index;
    this.#temporary = temporary;
  }

  static async open(): Promise<LineageCheck> {
    await loadParser();
    const server = await OracleServer.start();
    return new LineageCheck(server, await observed(server), temporaryFlows(server));
  }

  /** For the server and the analyser alike. */
  async setSearchPath(schemas: readonly string[]): Promise<void> {
    await this.server.client.query(`SET search_path = ${schemas.map((name) => `"${name}"`).join(", ")}`);
    this.#searchPath = schemas;
  }

  /** Makes views of statements, and returns a SELECT from each that the server took. */
  async viewsOf(definitions: readonly string[]): Promise<string[]> {
    const made = await this.server.makeViews(definitions);
    this.#index = await observed(this.server);
    return made.map((name) => `SELECT * FROM ${name}`);
  }

  close(): Promise<void> {
    return this.server.stop();
  }

  /** @throws when the analyser's parser does not take what the server takes */
  analyse(text: string, named: NamedStatement[] = []): TextLineage {
    const statements = this.#parsed(text);
    if (statements === "unknown") throw new Error(`not parsed: ${text}`);
    return lineageOf(statements, {
      index: this.#index,
      database: "postgres",
      searchPath: this.#searchPath,
      schemaTouched: false,
      named,
      temporary: this.#temporary,
      syntax: (other) => this.#tree(other),
    });
  }

  async check(text: string): Promise<Checked> {
    const analysed = await this.server.analyse(text);
    if (analysed.kind === "refused") return analysed;
    const { catalog } = this.server;
    const truth = trueLineage(catalog, analysed.queries);
    const found = compare({ said: this.analyse(text), truth, fields: analysed.fields }, catalog);
    if (truth.outputs.length > 0) found.tooLax.push(...this.#inOtherWords(text, truth));
    return { kind: "compared", ...found };
  }

  /** The same result by COPY, EXECUTE and FETCH, and what CREATE TABLE AS makes of it. */
  #inOtherWords(text: string, { outputs }: TrueLineage): string[] {
    const found: string[] = [];
    const named = [
      { kind: NamedStatement_Kind.KIND_PREPARED, name: "same", text },
      { kind: NamedStatement_Kind.KIND_CURSOR, name: "same", text },
    ];
    for (const other of [`COPY (${text}\n) TO STDOUT`, "EXECUTE same", "FETCH 5 FROM same"]) {
      const [lineage] = this.analyse(other, named).statements;
      if (lineage === undefined || lineage.silent) found.push(`${other}: has no result`);
      else if (lineage.unknown === "") found.push(...this.#missing(other, lineage.outputs, outputs));
    }
    const create = `CREATE TABLE made_of_it AS ${text}`;
    if (this.#parsed(create) !== "unknown") {
      const { flows } = this.analyse(create);
      const made = flows.filter(({ relation }) => relation === "made_of_it");
      if (made.every(({ column }) => column !== ""))
        found.push(...this.#missing("CREATE TABLE AS", made.map(asOutput), outputs));
      else if (made.every(({ unknown }) => unknown === "")) found.push("CREATE TABLE AS: it must be unknown");
    }
    return found;
  }

  #missing(how: string, said: readonly OutputColumn[], outputs: readonly TrueColumn[]): string[] {
    if (said.length !== outputs.length) return [`${how}: ${said.length} columns instead of ${outputs.length}`];
    return outputs.flatMap((actual, i) =>
      columnMissing(said[i] as OutputColumn, actual, this.server.catalog).map((what) => `${how}, ${i + 1}: ${what}`),
    );
  }

  #parsed(text: string): readonly RawStatement[] | "unknown" {
    const parsed = parse(text);
    return parsed.kind === "parsed" ? parsed.statements : "unknown";
  }

  #tree(text: string): readonly RawStatement[] | "unknown" {
    const known = this.#trees.get(text) ?? this.#parsed(text);
    this.#trees.set(text, known);
    return known;
  }
}

const observed = async ({ client }: OracleServer): Promise<SchemaIndex> =>
  new SchemaIndex(await observedSchema(client), new ColumnClasses());

const asOutput = ({ column, sources, exact, unknown }: ColumnFlow): OutputColumn =>
  OutputColumn.fromPartial({ name: column, sources, exact, unknown });

/** As the edge tells of them: of `scratch` nothing is known, the others hold copies (ServerCatalog.contents). */
function temporaryFlows({ catalog }: OracleServer): ColumnFlow[] {
  const flows = [ColumnFlow.fromPartial({ schema: "pg_temp", relation: "scratch", temporary: true })];
  for (const relation of catalog.relations.values()) {
    if (!relation.temporary || relation.name === "scratch") continue;
    for (const [number, { name }] of relation.columns) {
      const sources = [...(catalog.contents.get(`${relation.oid}.${number}`) ?? [])].map((key) => {
        const [relationOid = 0, column = 0] = key.split(".").map(Number);
        return { relationOid, number: column };
      });
      flows.push(
        ColumnFlow.fromPartial({
          schema: "pg_temp",
          relation: relation.name,
          column: name,
          sources,
          temporary: true,
          exact: true,
        }),
      );
    }
  }
  return flows;
}
