import type { DetectorName, Find } from "../detect/find.ts";
import { DETECTORS } from "../detect/find.ts";

/** Finds that overlap, as one stretch of text to replace. */
export interface Stretch {
  start: number;
  end: number;
  /** Of all finds in it, the most telling first. */
  detectors: DetectorName[];
  /** One find covers the whole stretch: its class's transform may be applied to it as a value. */
  whole: boolean;
}

const PRIORITY = new Map<DetectorName, number>(DETECTORS.map((name, index) => [name, index]));
const priority = (find: Find): number => PRIORITY.get(find.detector) ?? 0;

/** Joins overlapping finds, in order of the text. */
export function resolveFinds(finds: readonly Find[]): Stretch[] {
  const ordered = finds.toSorted((a, b) => a.start - b.start || b.end - a.end || priority(a) - priority(b));
  const stretches: Stretch[] = [];
  let members: Find[] = [];
  let end = -1;
  const close = (): void => {
    if (members.length > 0) stretches.push(asStretch(members, end));
    members = [];
  };
  for (const find of ordered) {
    if (find.start >= end) {
      close();
      end = find.end;
    }
    members.push(find);
    end = Math.max(end, find.end);
  }
  close();
  return stretches;
}

function asStretch(members: Find[], end: number): Stretch {
  const start = members[0]!.start;
  const byPriority = members.toSorted((a, b) => priority(a) - priority(b));
  return {
    start,
    end,
    detectors: [...new Set(byPriority.map((find) => find.detector))],
    whole: members.some((find) => find.start === start && find.end === end),
  };
}
