/** What the lineage of a command adds to its facts, for one session. */

import type { Relation } from "@sallyport/proto/catalog_model";
import { ColumnFlow, NamedStatement_Kind, StatementLineage } from "@sallyport/proto/verdict";
import type { CommandFacts, NamedStatement, Probe } from "@sallyport/proto/verdict";
import { lineageOf } from "../lineage/lineage.ts";
import type { TextLineage } from "../lineage/lineage.ts";
import type { Lookup, SchemaIndex } from "../schema/schema-index.ts";
import { isRefused } from "../sql/outline.ts";
import type { Outline } from "../sql/outline.ts";
import { classifiedFlows } from "./classified-flows.ts";
import type { NameScope } from "./resolve-names.ts";

export interface LineageScope extends NameScope {
  named: readonly NamedStatement[];
  /** what is known of the session's temporary relations */
  temporary: readonly ColumnFlow[];
  /** classes that the principal may not see: without any, only what is written where is asked for */
  hidden: readonly string[];
  /** results are followed even so */
  followAll?: boolean | undefined;
  lookup: Lookup;
}

export type LineageFacts = Pick<CommandFacts, "lineage" | "probes" | "flows" | "probedClasses" | "searchedClasses">;

const NONE: LineageFacts = { lineage: [], probes: [], flows: [], probedClasses: [], searchedClasses: [] };
const TOO_LARGE = "it is too large to be followed";
const MAX_PROBES = 1_000;

/** `missing`: texts whose trees are needed first are added to it. */
export function lineageFacts(outline: Outline, scope: LineageScope, missing: Set<string>): LineageFacts {
  const { hidden, index, lookup } = scope;
  const followsResults = hidden.length > 0 || scope.followAll === true;
  if (!followsResults && !writes(outline)) return NONE;
  if (outline.tree === undefined) return unfollowed(outline, hidden);
  const lineage = lineageOf(outline.tree, {
    index,
    database: scope.database,
    searchPath: scope.searchPath,
    schemaTouched: scope.schemaTouched,
    definesFrom: outline.definesFrom,
    named: [...scope.named, ...ownNamed(outline)],
    temporary: scope.temporary,
    syntax: (text) => {
      const understanding = lookup(text);
      if (understanding === undefined) return undefined;
      return isRefused(understanding) ? "unknown" : (understanding.tree ?? "unknown");
    },
  });
  for (const text of lineage.missing) missing.add(text);
  const flows = classifiedFlows(lineage.unwalked ? [...lineage.flows, ...unknownFlows(outline)] : lineage.flows, index);
  if (!followsResults) return { ...NONE, flows };
  const { statements, probes } = lineage;
  // Too many to be listed are still of all their classes.
  return {
    lineage: statements,
    probes: probes.slice(0, MAX_PROBES),
    flows,
    probedClasses: classesAmong(probes, lineage, index, hidden),
    searchedClasses: classesAmong(
      probes.filter((probe) => probe.searched),
      lineage,
      index,
      hidden,
    ),
  };
}

/** EXECUTE may do anything. */
const writes = (outline: Outline): boolean =>
  outline.defines ||
  outline.uses.length > 0 ||
  outline.relations.some(({ actions }) => actions.includes("write") || actions.includes("define"));

const ownNamed = (outline: Outline): NamedStatement[] =>
  outline.named.map(({ kind, name, text }) => ({
    kind: kind === "prepared" ? NamedStatement_Kind.KIND_PREPARED : NamedStatement_Kind.KIND_CURSOR,
    name,
    text,
  }));

/** Anything may be put into what is written. */
const unknownFlows = (outline: Outline): ColumnFlow[] =>
  outline.relations
    .filter(({ actions }) => actions.includes("write"))
    .map(({ schema, name, temporary }) =>
      ColumnFlow.fromPartial({
        schema: schema ?? "",
        relation: name,
        unknown: TOO_LARGE,
        temporary: temporary === true,
      }),
    );

function unfollowed(outline: Outline, hidden: readonly string[]): LineageFacts {
  const flows = unknownFlows(outline);
  if (hidden.length === 0) return { ...NONE, flows };
  const lineage = Array.from({ length: outline.statementCount }, (_, statement) =>
    StatementLineage.fromPartial({ statement, unknown: TOO_LARGE }),
  );
  const any = [...hidden].toSorted();
  return { lineage, probes: [], flows, probedClasses: any, searchedClasses: any };
}

/** Classes of what is probed that the principal may not see. What could not be walked may probe any. */
function classesAmong(
  probes: readonly Probe[],
  { incomplete }: TextLineage,
  index: SchemaIndex | undefined,
  hidden: readonly string[],
): string[] {
  if (incomplete) return [...hidden].toSorted();
  const found = new Set<string>();
  for (const name of probes.flatMap((probe) => classesOf(probe, index))) {
    if (hidden.includes(name)) found.add(name);
  }
  return [...found].toSorted();
}

function classesOf({ column }: Probe, index: SchemaIndex | undefined): string[] {
  const relation: Relation | undefined = column === undefined ? undefined : index?.withOid(column.relationOid);
  if (column === undefined || relation === undefined) return [];
  return [...(index?.familyClasses(relation, column.number) ?? [])];
}
