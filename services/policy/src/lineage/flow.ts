/**
 * Where the values of an expression may come from. Values are immutable and shared; the algebra only ever adds sources,
 * so that what is forgotten can only be an exactness.
 */

/** What RowDescription tells of a column: a relation as the statement names it, and the number there. */
export interface Origin {
  /** 0: none; UNOBSERVED: a relation that the observed schema does not have */
  oid: number;
  number: number;
}

export const UNOBSERVED = -1;

/** A column's type as it was observed: a cast to it changes nothing. */
export interface ColumnType {
  oid: number;
  /** as format_type writes it: `character varying(80)` */
  text: string;
}

export interface Flow {
  /** base columns (columnKey) */
  readonly sources: readonly number[];
  /** every value is a value of one of the sources, or a constant */
  readonly exact: boolean;
  /** why more than the sources may flow; empty: nothing else does */
  readonly unknown: string;
  /** `name.column` of temporary relations that nothing more is known of */
  readonly temporary: readonly string[];
  /** what the server may describe; the first is what it is expected to */
  readonly origins: readonly Origin[];
  readonly type: ColumnType | undefined;
  /** of a whole row, its columns */
  readonly fields: readonly Column[] | undefined;
  /** of a whole row of one relation, its oid */
  readonly rowOf?: number | undefined;
}

export interface Column {
  readonly name: string;
  readonly flow: Flow;
}

/** Columns of a query or of an item in FROM. */
export interface Shape {
  readonly columns: readonly Column[];
  /** there may be more columns than these, or others, and this flows through them */
  readonly open: Flow | undefined;
}

const NUMBERS = 0x10000;
const OFFSET = 0x8000;

/** One number for a column of a relation: exact up to 2^48. System columns have negative numbers. */
export const columnKey = (oid: number, number: number): number => oid * NUMBERS + number + OFFSET;
export const oidOf = (key: number): number => Math.floor(key / NUMBERS);
export const numberOf = (key: number): number => (key % NUMBERS) - OFFSET;

export const NO_ORIGIN: readonly Origin[] = [{ oid: 0, number: 0 }];
export const UNOBSERVED_ORIGIN: readonly Origin[] = [{ oid: UNOBSERVED, number: 0 }];

const plain = { temporary: [], origins: NO_ORIGIN, type: undefined, fields: undefined };

/** Constants, clocks, counts: nothing that is stored anywhere. */
export const NOTHING: Flow = { ...plain, sources: [], exact: true, unknown: "" };

export const unknownFlow = (why: string): Flow => ({ ...plain, sources: [], exact: false, unknown: why });

/** Everything that flows in any of them. `exact`: each value is one of theirs, as far as theirs are. */
export function join(flows: readonly Flow[], exact: boolean): Flow {
  const carrying = flows.filter(
    (flow) => flow.sources.length > 0 || flow.unknown !== "" || flow.temporary.length > 0 || !flow.exact,
  );
  const [first] = carrying;
  if (first === undefined) return NOTHING;
  if (carrying.length === 1) {
    const same = exact && first.exact;
    return { ...first, ...value, exact: same, type: same ? first.type : undefined };
  }
  const sources = new Set<number>();
  const temporary = new Set<string>();
  let unknown = "";
  const type = commonType(carrying);
  let all = exact && type !== undefined;
  for (const flow of carrying) {
    for (const key of flow.sources) sources.add(key);
    for (const name of flow.temporary) temporary.add(name);
    if (unknown === "") unknown = flow.unknown;
    all &&= flow.exact;
  }
  return {
    ...plain,
    sources: [...sources],
    exact: all,
    unknown,
    temporary: [...temporary],
    type: all ? type : undefined,
  };
}

/** Either of them: a branch that carries nothing may still have a type that values of the others are converted to. */
export function oneOf(flows: readonly Flow[]): Flow {
  const flow = join(flows, true);
  const kept = flows.every((branch) => branch.sources.length > 0) || (flow.type !== undefined && isText(flow.type.oid));
  return kept || flow.sources.length === 0 ? flow : { ...flow, exact: false, type: undefined };
}

const value = { origins: NO_ORIGIN, fields: undefined, rowOf: undefined };

const TEXT = 25;
const VARCHAR = 1043;
/** Values that are the same text in all of them. */
export const isText = (oid: number): boolean => oid === TEXT || oid === VARCHAR;

/** The type that values of all of them have without being converted. */
function commonType(flows: readonly Flow[]): ColumnType | undefined {
  const first = flows[0]?.type;
  if (first === undefined) return undefined;
  if (flows.every(({ type }) => type?.oid === first.oid && type.text === first.text)) return first;
  if (flows.every(({ type }) => type?.oid === first.oid)) return { oid: first.oid, text: "" };
  return flows.every(({ type }) => type !== undefined && isText(type.oid)) ? { oid: TEXT, text: "text" } : undefined;
}

/** Computed from it. */
export const derived = (flow: Flow): Flow => join([flow], false);

/** The same values, but no column any more to the server. */
export const unnamed = (flow: Flow): Flow => (flow.origins === NO_ORIGIN ? flow : { ...flow, origins: NO_ORIGIN });

/** The same values, and why they may be others. */
export const tainted = (flow: Flow, why: string): Flow => ({
  ...flow,
  exact: false,
  unknown: flow.unknown === "" ? why : flow.unknown,
});

/** A row of several columns as one value. */
export function rowOf(shape: Shape, origins: readonly Origin[] = NO_ORIGIN): Flow {
  const flows = shape.columns.map((column) => column.flow);
  if (shape.open !== undefined) flows.push(shape.open);
  const whole = join(flows, false);
  const fields = shape.open === undefined ? shape.columns : undefined;
  const [origin, ...others] = origins;
  const relation = origin !== undefined && origin.oid > 0 && others.length === 0 ? origin.oid : undefined;
  return { ...whole, exact: false, origins, fields, rowOf: relation };
}

export const openShape = (flow: Flow): Shape => ({ columns: [], open: flow });
export const unknownShape = (why: string): Shape => openShape(unknownFlow(why));

/** Both may be meant: column by column where they have the same names, otherwise anything of either. */
export function eitherShape(shapes: readonly Shape[]): Shape {
  const [first, ...others] = shapes;
  if (first === undefined) return unknownShape("nothing is known of it");
  if (others.length === 0) return first;
  const same = shapes.every(
    (shape) =>
      shape.open === undefined &&
      shape.columns.length === first.columns.length &&
      shape.columns.every((column, i) => column.name === first.columns[i]?.name),
  );
  if (!same)
    return openShape(
      join(
        shapes.map((shape) => rowOf(shape)),
        false,
      ),
    );
  const columns = first.columns.map(({ name, flow }, i) => {
    const flows = [flow, ...others.map((shape) => shape.columns[i]?.flow ?? NOTHING)];
    return { name, flow: { ...join(flows, true), origins: allOrigins(flows) } };
  });
  return { columns, open: undefined };
}

export function allOrigins(flows: readonly Flow[]): readonly Origin[] {
  const found: Origin[] = [];
  for (const { origins } of flows) {
    for (const origin of origins) {
      if (!found.some((other) => other.oid === origin.oid && other.number === origin.number)) found.push(origin);
    }
  }
  return found;
}
