import type { Classification, ColumnCopy, Configuration, DataClass, Schema } from "@sallyport/proto/catalog_model";
import type { Event } from "@sallyport/proto/event";
import { classificationKey, DatabaseBindings, unfollowedKey } from "./classification/bindings.ts";
import { Copies } from "./classification/copies.ts";
import { databaseIndex, type DatabaseIndex } from "./classification/database-index.ts";
import { matchesGlob } from "./classification/glob.ts";
import type { Turns } from "./turns.ts";

interface Database {
  connection: string;
  database: string;
  /** as last observed; undefined: only its bindings are known */
  schema: Schema;
  /** by what the server says it is, so that another server behind the same name starts anew and the first is not forgotten */
  bindings: Map<string, DatabaseBindings>;
  /** made when first asked for; undefined: something changed since */
  index: DatabaseIndex | undefined;
  /** the same, while it is being made */
  making: Promise<void> | undefined;
  /** counts changes, so that an index that was overtaken while it was made is not kept */
  generation: number;
}

/**
 * The fold: classifications and observed schemas, in the order of EVENTS, become bindings of columns to classes.
 * Deterministic, and independent of when plans are asked for: whoever folds the same events has the same bindings.
 */
export class MaskingState {
  #classifications: readonly Classification[] = [];
  #classes: ReadonlyMap<string, DataClass> = new Map();
  readonly #databases = new Map<string, Database>();
  /** copies in databases that were not observed yet */
  readonly #early = new Map<string, ColumnCopy[]>();
  /** copies by what the server says the database is, for several connections may lead to it; else by connection */
  readonly #copies = new Map<string, Copies>();
  readonly #turns: Turns;

  constructor(turns: Turns) {
    this.#turns = turns;
  }

  apply(event: Event): void {
    switch (event.fact?.$case) {
      case "configurationApplied":
        if (event.fact.value.configuration) this.#configure(event.fact.value.configuration);
        break;
      case "schemaObserved": {
        const { connection, database, schema } = event.fact.value;
        if (schema) this.#observe(connection, database, schema);
        break;
      }
      case "columnsCopied": {
        const { connection, database, copies } = event.fact.value;
        this.#copied(connection, database, copies);
        break;
      }
      default:
      // of no concern to masking
    }
  }

  dataClass(name: string): DataClass | undefined {
    return this.#classes.get(name);
  }

  /** Until `database` answers for all that is folded. In turns with other work. */
  async prepare(connection: string, database: string): Promise<void> {
    const entry = this.#databases.get(databaseKey(connection, database));
    if (!entry) return;
    while (entry.index === undefined) await (entry.making ??= this.#make(entry));
  }

  async #make(entry: Database): Promise<void> {
    const { generation, schema } = entry;
    try {
      const index = await this.#turns.run(databaseIndex(schema, bindingsOf(entry)));
      if (entry.generation === generation) entry.index = index;
    } finally {
      entry.making = undefined;
    }
  }

  /** Undefined: never observed. Call `prepare` first. */
  database(connection: string, database: string): DatabaseIndex | undefined {
    const entry = this.#databases.get(databaseKey(connection, database));
    if (entry && !entry.index) throw new Error("the database was not prepared");
    return entry?.index;
  }

  /** Whether any rule could hide anything in the database: false only when none of its names can match. */
  mayHide(connection: string, database: string, hidden: ReadonlySet<string>): boolean {
    return this.#rulesFor(connection, database).some((rule) => hidden.has(rule.class));
  }

  #configure(configuration: Configuration): void {
    this.#classifications = configuration.classifications;
    this.#classes = new Map(configuration.classes.map((dataClass) => [dataClass.name, dataClass]));
    const keys = new Set([
      ...configuration.classifications.map(classificationKey),
      ...configuration.classes.map(({ name }) => unfollowedKey(name)),
    ]);
    for (const entry of this.#databases.values()) {
      for (const bindings of entry.bindings.values()) bindings.retain(keys);
      this.#bind(entry);
    }
  }

  #observe(connection: string, database: string, schema: Schema): void {
    const key = databaseKey(connection, database);
    const known = this.#databases.get(key);
    const entry: Database = known ?? {
      connection,
      database,
      schema,
      bindings: new Map(),
      index: undefined,
      making: undefined,
      generation: 0,
    };
    entry.schema = schema;
    this.#databases.set(key, entry);
    this.#copiesIn(entry).record(this.#early.get(key) ?? []);
    this.#early.delete(key);
    this.#bind(entry);
  }

  #copied(connection: string, database: string, copies: readonly ColumnCopy[]): void {
    const key = databaseKey(connection, database);
    const entry = this.#databases.get(key);
    if (entry === undefined) {
      this.#early.set(key, [...(this.#early.get(key) ?? []), ...copies]);
      return;
    }
    const recorded = this.#copiesIn(entry);
    recorded.record(copies);
    for (const other of this.#databases.values()) if (this.#copiesIn(other) === recorded) this.#bind(other);
  }

  #copiesIn({ connection, database, schema }: Database): Copies {
    const key = schema.identity === "" ? databaseKey(connection, database) : schema.identity;
    let copies = this.#copies.get(key);
    if (!copies) this.#copies.set(key, (copies = new Copies()));
    return copies;
  }

  #bind(entry: Database): void {
    const rules = this.#rulesFor(entry.connection, entry.database);
    bindingsOf(entry).bind(entry.schema, rules, this.#copiesIn(entry));
    entry.index = undefined;
    entry.generation++;
  }

  #rulesFor(connection: string, database: string): Classification[] {
    return this.#classifications.filter(
      (rule) =>
        matchesGlob(rule.connection, connection.toLowerCase()) && matchesGlob(rule.database, database.toLowerCase()),
    );
  }
}

function bindingsOf(entry: Database): DatabaseBindings {
  let bindings = entry.bindings.get(entry.schema.identity);
  if (!bindings) entry.bindings.set(entry.schema.identity, (bindings = new DatabaseBindings()));
  return bindings;
}

const databaseKey = (connection: string, database: string): string => JSON.stringify([connection, database]);
