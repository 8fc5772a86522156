import type { Relation, Schema } from "@sallyport/proto/catalog_model";
import { ColumnPlan_Action, type MaskPlan, PlanResult } from "@sallyport/proto/masking";

export interface HiddenColumns {
  relation: Relation;
  /** column number → classes, as masking says them */
  columns: Map<number, string>;
}

const COLUMNS_AT_ONCE = 2_000;
const TABLES: ReadonlySet<string> = new Set(["table", "partitioned", "foreign"]);

/** Columns of tables that masking would not show to somebody from whom `classes` are hidden: it knows what is classified. */
export async function hiddenColumns(
  schema: Schema,
  place: { connection: string; database: string },
  classes: readonly string[],
  plan: (request: PlanResult) => Promise<MaskPlan>,
): Promise<HiddenColumns[]> {
  if (classes.length === 0) return [];
  const columns = schema.relations
    .filter(({ kind }) => TABLES.has(kind))
    .flatMap((relation) => relation.columns.map((column) => ({ relation, column })));
  const found = new Map<number, HiddenColumns>();
  for (let from = 0; from < columns.length; from += COLUMNS_AT_ONCE) {
    const asked = columns.slice(from, from + COLUMNS_AT_ONCE);
    const request = PlanResult.fromPartial({
      ...place,
      hiddenClasses: [...classes],
      columns: asked.map(({ relation, column }) => ({
        name: column.name,
        tableOid: relation.oid,
        columnNumber: column.number,
        typeOid: column.typeOid,
      })),
    });
    const planned = await plan(request);
    asked.forEach(({ relation, column }, at) => {
      const decided = planned.columns[at];
      if (decided === undefined || decided.action === ColumnPlan_Action.ACTION_PASS) return;
      const known = found.get(relation.oid) ?? { relation, columns: new Map<number, string>() };
      known.columns.set(column.number, decided.class);
      found.set(relation.oid, known);
    });
  }
  return [...found.values()];
}
