import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { AppError } from "@sallyport/runtime";
import { commandOf, identityOf, isAlive, type ProcessIdentity } from "./process-identity.ts";

/**
 * Who uses a state folder: one launcher, with its children. Each is a file in the folder's `run`, so that the next launcher
 * finds what one that was killed has left behind. It ends no process but those that are recorded there, and none whose
 * number has gone to another since.
 */
export interface StateClaim {
  started(name: string, child: StartedChild): void;
  ended(name: string): void;
  release(): void;
}

export interface StartedChild {
  readonly pid: number;
  readonly command: readonly string[];
  readonly stopSignal: NodeJS.Signals;
  /** It notices by itself that its launcher has gone, and ends in order. */
  readonly noticesLauncher: boolean;
}

interface ChildRecord extends StartedChild {
  readonly identity: ProcessIdentity;
}

const LAUNCHER = "launcher.json";
/** Services take up to 3 s to end in order. */
const ORDERLY_MS = 4_000;
const SIGNALLED_MS = 5_000;

/**
 * Sees to it that nobody uses the folder: ends what a dead launcher has left behind.
 * @throws AppError `failed-precondition` when a launcher that lives uses it
 */
export async function endLeftovers(folder: string): Promise<void> {
  refuseIfUsed(folder);
  const left = childrenIn(folder).filter(isStillIt);
  const orderly = left.filter(({ noticesLauncher }) => noticesLauncher);
  for (const child of left) if (!child.noticesLauncher) signal(child, child.stopSignal);
  await untilGone(orderly, ORDERLY_MS);
  for (const child of orderly) signal(child, child.stopSignal);
  await untilGone(left, SIGNALLED_MS);
  for (const child of left) signal(child, "SIGKILL");
  await untilGone(left, SIGNALLED_MS);
  try {
    rmSync(folder, { recursive: true, force: true });
  } catch {
    // A folder in which nothing can be removed cannot be written either: whoever writes there next has the words for it.
  }
}

/** Takes the folder, which must exist, for this process. */
export function claimState(folder: string): StateClaim {
  const file = join(folder, LAUNCHER);
  try {
    writeFileSync(file, JSON.stringify(identityOf(process.pid)), { mode: 0o600, flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    refuseIfUsed(folder);
    throw error;
  }
  return {
    started: (name, child) => {
      const identity = identityOf(child.pid);
      if (identity === undefined) return;
      const record: ChildRecord = { ...child, identity };
      writeFileSync(fileOf(folder, name), JSON.stringify(record), { mode: 0o600 });
    },
    ended: (name) => rmSync(fileOf(folder, name), { force: true }),
    release: () => rmSync(file, { force: true }),
  };
}

const fileOf = (folder: string, name: string): string => join(folder, `child-${name}.json`);

function refuseIfUsed(folder: string): void {
  const launcher = read(join(folder, LAUNCHER)) as ProcessIdentity | undefined;
  if (launcher === undefined || !isAlive(launcher)) return;
  throw new AppError(
    "failed-precondition",
    "local.start",
    `Sallyport is running already on this state folder (process ${launcher.pid}). Use it, stop it with \`kill ${launcher.pid}\`, or start another with --state FOLDER and --port-base N.`,
  );
}

function childrenIn(folder: string): ChildRecord[] {
  let names: string[] = [];
  try {
    names = readdirSync(folder);
  } catch {
    // nothing was ever started here
  }
  return names
    .filter((name) => name.startsWith("child-"))
    .flatMap((name) => (read(join(folder, name)) as ChildRecord | undefined) ?? []);
}

/** The same process, and it runs the same program: either would do, and a mistake here would end somebody's work. */
const isStillIt = ({ identity, command }: ChildRecord): boolean =>
  isAlive(identity) && isDeepStrictEqual(commandOf(identity.pid), command);

function signal(child: ChildRecord, name: NodeJS.Signals): void {
  if (!isStillIt(child)) return;
  try {
    process.kill(child.identity.pid, name);
  } catch {
    // ended in between
  }
}

async function untilGone(children: readonly ChildRecord[], deadlineMs: number): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (children.some(isStillIt) && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A file that was cut off by a crash counts as none. */
function read(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}
