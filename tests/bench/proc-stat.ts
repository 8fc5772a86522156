/** One line of /proc/<pid>/stat (proc(5)), as far as CPU accounting needs it. Times are in clock ticks. */
export interface ProcStat {
  readonly pid: number;
  readonly parent: number;
  readonly user: number;
  readonly system: number;
  /** of children that ended and were waited for, with theirs */
  readonly childUser: number;
  readonly childSystem: number;
}

/** Undefined when the line is not complete: the process ended while it was read. */
export function parseProcStat(line: string): ProcStat | undefined {
  // Field 2 is the program's name in parentheses, which may itself hold spaces and parentheses.
  const open = line.indexOf("(");
  const close = line.lastIndexOf(")");
  if (open < 0 || close < open) return undefined;
  const fields = line
    .slice(close + 1)
    .trim()
    .split(" ");
  // `fields[0]` is field 3, the state.
  const at = (field: number): number => Number(fields[field - 3]);
  const stat: ProcStat = {
    pid: Number(line.slice(0, open)),
    parent: at(4),
    user: at(14),
    system: at(15),
    childUser: at(16),
    childSystem: at(17),
  };
  return Object.values(stat).every(Number.isInteger) ? stat : undefined;
}
