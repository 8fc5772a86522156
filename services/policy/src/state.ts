/** What this service knows: a fold over EVENTS, and nothing else. */

import type { Event } from "@sallyport/proto/event";
import type { Configuration, Connection } from "@sallyport/proto/catalog_model";
import { LoadedSet, STATEMENT_TEXT, compile } from "./cedar/compile.ts";
import type { Vocabulary } from "./cedar/compile.ts";
import { ConfiguredEntities } from "./cedar/entities.ts";
import { Grants } from "./check/grants.ts";
import { Windows } from "./check/windows.ts";
import { Schemas } from "./schema/schema-index.ts";

export interface Published {
  /** counts configurations; a check that spans two of them begins anew */
  generation: number;
  configured: ConfiguredEntities;
  connections: ReadonlyMap<string, Connection>;
  /** undefined: the set does not load, and everything is refused until one does */
  set: LoadedSet | undefined;
}

export interface StateOptions {
  /** told about a published set that does not load, with its first problem */
  onBroken: (problem: string) => void;
}

export class State {
  readonly schemas = new Schemas();
  readonly grants = new Grants();
  readonly windows = new Windows();
  #published: Published | undefined;
  #generation = 0;
  readonly #options: StateOptions;

  constructor(options: StateOptions) {
    this.#options = options;
  }

  get published(): Published | undefined {
    return this.#published;
  }

  apply(event: Event): void {
    const { fact } = event;
    if (fact === undefined) return;
    switch (fact.$case) {
      case "configurationApplied":
        if (fact.value.configuration !== undefined) this.#configure(fact.value.configuration);
        break;
      case "schemaObserved":
        if (fact.value.schema !== undefined) {
          this.schemas.observe(fact.value.connection, fact.value.database, fact.value.schema);
        }
        break;
      case "columnsCopied":
        this.schemas.copied(fact.value.connection, fact.value.database, fact.value.copies);
        break;
      default:
        this.windows.apply(fact);
        this.grants.apply(fact);
    }
  }

  #configure(configuration: Configuration): void {
    const generation = ++this.#generation;
    const configured = new ConfiguredEntities(configuration.connections, configuration.classes);
    const connections = new Map(configuration.connections.map((connection) => [connection.name, connection]));
    const { set, problems } = compile(configuration.policies, vocabularyOf(configuration), { types: false });
    const [first] = problems;
    if (first !== undefined) this.#options.onBroken(`${first.path}:${first.line}:${first.column}: ${first.message}`);
    const before = this.#published?.set;
    // Two names take turns, so that the engine never holds more than two sets.
    const loaded = first === undefined ? new LoadedSet(set, `published-${generation % 2}`) : undefined;
    this.#published = { generation, configured, connections, set: loaded };
    before?.unload();
    this.schemas.setClassifications(configuration.classifications, configured.connections);
  }
}

export function vocabularyOf(configuration: Configuration): Vocabulary {
  const connections = new Set(configuration.connections.map((connection) => connection.name));
  const classes = new Set([STATEMENT_TEXT, ...configuration.classes.map((c) => c.name)]);
  for (const c of configuration.classes) if (c.parent !== "") classes.add(c.parent);
  return { connections, classes };
}
