/** Plans for results: asked of `masking` once per verdict and shape, then kept while the epoch does not move. */
import { AppError } from "@sallyport/runtime";
import type { ColumnClass } from "@sallyport/proto/record";
import { ColumnPlan_Action, type MaskPlan, type PlanResult, type ResultColumn } from "@sallyport/proto/masking";
import type { Scope } from "./leases.ts";
import type { MaskingLink } from "./links.ts";
import { actionName, executionOf, type ColumnExecution } from "./mask-execution.ts";
import type { KnownVerdict } from "./outcome.ts";

export interface ResultMask {
  readonly planId: string;
  /** every column passes: frames may be forwarded as they are */
  readonly passesAll: boolean;
  readonly hasRemote: boolean;
  readonly columns: readonly ColumnExecution[];
  /** columns of a class, for the first `release` of the result and for `masked`; the same array each time */
  readonly classes: readonly ColumnClass[];
  /** as `classes`, with those of no class: for a result whose description the client does not get */
  readonly everyColumn: readonly ColumnClass[];
  /** errors and notices keep only SQLSTATE and class */
  readonly scrubText: boolean;
  /** an origin is not in the observed schema: observe again */
  readonly staleSchema: boolean;
  /** the analysis and the server's description differ: no row of this result may be shown. In words, without values; or "" */
  readonly disagreement: string;
  /** names of columns that are masked whole because it is not known what of their sources is in them */
  readonly whole: readonly string[];
  /** Masked cells in the same order (never NULL); rejects with AppError when masking cannot be reached: end the result. */
  remote(column: number, cells: readonly Buffer[]): Promise<readonly Buffer[]>;
}

/** What a result looks like. */
export interface ResultShape {
  /** of the command: its relations, and what the principal may not see */
  verdict: KnownVerdict;
  columns: readonly ResultColumn[];
  schemaTouched: boolean;
  /** code that nobody looked into has run in the session */
  codeRan: boolean;
  /** whose result it is, counted from 0 within the text: its lineage counts; absent: a shape that is no statement's result */
  statement?: number;
}

/** What `masking` says of columns whose values are computed, or come from it is not known where. */
const WHOLE: ReadonlySet<string> = new Set(["no origin", "derived"]);

/** Of one verdict: a statement has few shapes. */
const SHAPES = 32;
const PLANS = 4;
const CELLS = 4096;
const CELL_BYTES = 1024 * 1024;

interface Planned {
  mask: PlannedMask;
  asOf: number;
}

export class MaskPlans {
  private readonly masking: MaskingLink;
  private readonly known = new WeakMap<KnownVerdict, Map<string, Planned>>();

  constructor(masking: MaskingLink) {
    this.masking = masking;
  }

  for(scope: Scope, shape: ResultShape): ResultMask | Promise<ResultMask> {
    const key = keyOf(shape);
    let shapes = this.known.get(shape.verdict);
    const planned = shapes?.get(key);
    if (planned !== undefined && planned.asOf >= scope.newest) return planned.mask;
    if (shapes === undefined) {
      shapes = new Map();
      this.known.set(shape.verdict, shapes);
    }
    return this.plan(scope, shape, key, shapes);
  }

  private async plan(scope: Scope, shape: ResultShape, key: string, shapes: Map<string, Planned>): Promise<ResultMask> {
    const request = requestOf(scope, shape);
    for (let round = 0; round < PLANS; round++) {
      const plan = await this.masking.plan(request, scope.newest);
      if (plan.asOf < scope.newest) continue;
      const mask = new PlannedMask(this.masking, request, plan, () => scope.newest);
      if (shapes.size >= SHAPES) shapes.clear();
      shapes.set(key, { mask, asOf: plan.asOf });
      return mask;
    }
    throw new AppError("unavailable", "edge.mask", "masking has not seen the newest rules yet");
  }
}

class PlannedMask implements ResultMask {
  readonly columns: readonly ColumnExecution[];
  readonly classes: readonly ColumnClass[];
  readonly passesAll: boolean;
  readonly hasRemote: boolean;
  readonly scrubText: boolean;
  readonly staleSchema: boolean;
  readonly disagreement: string;
  readonly whole: readonly string[];
  planId: string;
  private readonly masking: MaskingLink;
  private readonly request: PlanResult;
  private readonly actions: readonly ColumnPlan_Action[];
  private readonly newest: () => number;
  private every: readonly ColumnClass[] | undefined;

  constructor(masking: MaskingLink, request: PlanResult, plan: MaskPlan, newest: () => number) {
    this.masking = masking;
    this.request = request;
    this.newest = newest;
    this.actions = actionsOf(request, plan);
    this.planId = plan.planId;
    this.columns = plan.columns.map(executionOf);
    this.classes = classesOf(request, plan);
    this.passesAll = this.columns.every((column) => column.kind === "pass");
    this.hasRemote = this.columns.some((column) => column.kind === "remote");
    this.scrubText = plan.scrubText;
    this.staleSchema = plan.staleSchema;
    this.disagreement = plan.disagreement;
    this.whole = plan.columns.flatMap((column, index) =>
      WHOLE.has(column.reason) && column.action !== ColumnPlan_Action.ACTION_PASS
        ? [(request.columns[index] as ResultColumn).name]
        : [],
    );
  }

  get everyColumn(): readonly ColumnClass[] {
    if (this.every === undefined) {
      const known = new Map(this.classes.map((column) => [column.index, column]));
      this.every = this.request.columns.map(({ name }, index) => known.get(index) ?? plainColumn(index, name));
    }
    return this.every;
  }

  async remote(column: number, cells: readonly Buffer[]): Promise<readonly Buffer[]> {
    const parts: Promise<readonly Buffer[]>[] = [];
    let from = 0;
    while (from < cells.length) {
      let to = from;
      let bytes = 0;
      while (to < cells.length && to - from < CELLS && (to === from || bytes < CELL_BYTES)) {
        bytes += (cells[to] as Buffer).length;
        to++;
      }
      parts.push(this.ask(column, from === 0 && to === cells.length ? cells : cells.slice(from, to)));
      from = to;
    }
    const masked = await Promise.all(parts);
    return masked.length === 1 ? (masked[0] as readonly Buffer[]) : masked.flat();
  }

  private async ask(column: number, cells: readonly Buffer[]): Promise<readonly Buffer[]> {
    let answer;
    try {
      answer = await this.masking.cells(this.planId, column, cells);
    } catch (error) {
      const known = AppError.from(error, "edge.mask");
      if (known.code !== "not-found" && known.code !== "unavailable") throw known;
      // masking was restarted and has forgotten the plan: the same plan again, or none of the result
      await this.planAgain();
      answer = await this.masking.cells(this.planId, column, cells);
    }
    if (answer.cells.length !== cells.length) {
      throw new AppError("internal", "edge.mask", "masking answered with another number of cells");
    }
    return answer.cells;
  }

  private async planAgain(): Promise<void> {
    const plan = await this.masking.plan(this.request, this.newest());
    const actions = actionsOf(this.request, plan);
    if (plan.disagreement !== this.disagreement || actions.some((action, i) => action !== this.actions[i])) {
      throw new AppError("unavailable", "edge.mask", "what must be masked has changed while the result was read");
    }
    this.planId = plan.planId;
  }
}

function actionsOf(request: PlanResult, plan: MaskPlan): ColumnPlan_Action[] {
  if (plan.columns.length !== request.columns.length) {
    throw new AppError("internal", "edge.mask", "masking planned another number of columns");
  }
  return plan.columns.map((column) => column.action);
}

const plainColumn = (index: number, name: string): ColumnClass => ({
  index,
  name,
  class: "",
  transform: "pass",
  tableOid: 0,
  columnNumber: 0,
  relation: "",
});

function classesOf(request: PlanResult, plan: MaskPlan): ColumnClass[] {
  const classes: ColumnClass[] = [];
  plan.columns.forEach((column, index) => {
    const shape = request.columns[index] as ResultColumn;
    const passes = column.action === ColumnPlan_Action.ACTION_PASS;
    if (passes && column.class === "") return;
    classes.push({
      index,
      name: shape.name,
      class: column.class,
      transform: actionName(column.action),
      tableOid: shape.tableOid,
      columnNumber: Math.max(0, shape.columnNumber),
      relation: column.relation,
    });
  });
  return classes;
}

function requestOf(scope: Scope, shape: ResultShape): PlanResult {
  const { facts, hiddenClasses } = shape.verdict;
  return {
    connection: scope.connection,
    database: scope.database,
    hiddenClasses: [...hiddenClasses],
    columns: [...shape.columns],
    relations: facts.relations,
    unknownSources: facts.opaque || facts.userCode || facts.relations.some((relation) => relation.kind === "unknown"),
    schemaTouched: shape.schemaTouched,
    codeRan: shape.codeRan,
    lineage: shape.statement === undefined ? undefined : facts.lineage.find((one) => one.statement === shape.statement),
  };
}

function keyOf(shape: ResultShape): string {
  let key = `${shape.schemaTouched ? "t" : "f"}${shape.codeRan ? "c" : ""}${shape.statement ?? ""};`;
  for (const column of shape.columns) {
    const { tableOid, columnNumber, typeOid, binary, name } = column;
    key += `${tableOid},${columnNumber},${typeOid},${binary ? 1 : 0},${name.length},${name}`;
  }
  return key;
}
