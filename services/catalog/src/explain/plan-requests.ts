import type { Schema } from "@sallyport/proto/catalog_model";
import { PlanResult, type ResultColumn } from "@sallyport/proto/masking";
import type { OutputColumn, Verdict } from "@sallyport/proto/verdict";

/** `text`: what the type of a computed column is taken for, as no server has described it. */
const TEXT_OID = 25;

/**
 * For each statement of the command what an edge would ask masking, had the server described the result just as the
 * analysis foresees it. undefined: the statement has no result, or its result cannot be foreseen.
 */
export function planRequests(
  verdict: Verdict,
  place: { connection: string; database: string },
  schema: Schema | undefined,
): (PlanResult | undefined)[] {
  const { facts, hiddenClasses } = verdict;
  if (facts === undefined) return [];
  const types = new Map(
    (schema?.relations ?? []).flatMap(({ oid, columns }) =>
      columns.map((column): [string, number] => [`${oid}.${column.number}`, column.typeOid]),
    ),
  );
  return facts.lineage.map((lineage) => {
    if (lineage.silent || lineage.unknown !== "") return undefined;
    return PlanResult.fromPartial({
      ...place,
      hiddenClasses: [...hiddenClasses],
      columns: lineage.outputs.map((output) => described(output, types)),
      relations: facts.relations,
      unknownSources: facts.opaque || facts.userCode || facts.relations.some(({ kind }) => kind === "unknown"),
      lineage,
    });
  });
}

function described(output: OutputColumn, types: ReadonlyMap<string, number>): ResultColumn {
  const { name, describedOid, describedNumber, sources, exact } = output;
  const [source] = sources;
  const typeOid =
    types.get(`${describedOid}.${describedNumber}`) ??
    (exact && source !== undefined ? types.get(`${source.relationOid}.${source.number}`) : undefined) ??
    TEXT_OID;
  return { name, tableOid: describedOid, columnNumber: describedNumber, typeOid, binary: false };
}
