/** What commands write where, as `policy` found: told to `catalog` before they run (ADR 0011). */
import type { ColumnCopy } from "@sallyport/proto/catalog_model";
import type { KnownVerdict } from "./outcome.ts";

/** Columns outside of the session that will hold copies. Where it cannot be told of what: of everything that is hidden. */
export function copiesOf({ facts, hiddenClasses }: KnownVerdict): ColumnCopy[] {
  const copies: ColumnCopy[] = [];
  for (const flow of facts.flows) {
    if (flow.temporary) continue;
    const { schema, relation, relationOid } = flow;
    // which column it goes to is not known
    const column = flow.column === "" ? "*" : flow.column;
    const to = { schema, relation, relationOid, column };
    for (const source of flow.sources) {
      if (source.relationOid === 0 || source.number <= 0) continue;
      const { relationOid: sourceOid, number: sourceNumber } = source;
      copies.push({ ...to, sourceOid, sourceNumber, exact: flow.exact && flow.unknown === "", class: "" });
    }
    if (flow.unknown === "") continue;
    for (const name of hiddenClasses) copies.push({ ...to, sourceOid: 0, sourceNumber: 0, exact: false, class: name });
  }
  return copies;
}
