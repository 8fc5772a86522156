import { mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import type { NamedProcess } from "./cpu.ts";

/**
 * From now on every Node process that is started writes a CPU profile into `folder` when it ends. To be called when all
 * have ended: names the profiles after the processes.
 */
export function profileChildren(folder: string, processes: () => readonly NamedProcess[]): () => void {
  mkdirSync(folder, { recursive: true });
  process.env["NODE_OPTIONS"] = `--cpu-prof --cpu-prof-dir=${folder}`;
  let names: readonly NamedProcess[] = [];
  // their process ids are only known while they run
  const timer = setInterval(() => (names = processes()), 1000);
  return () => {
    clearInterval(timer);
    for (const file of readdirSync(folder)) {
      // CPU.<date>.<time>.<pid>.<thread>.<number>.cpuprofile
      const pid = Number(/^CPU\.\d+\.\d+\.(\d+)\.0\./.exec(file)?.[1]);
      const known = names.find((one) => one.pid === pid);
      if (known !== undefined) renameSync(join(folder, file), join(folder, `${known.name}.cpuprofile`));
    }
  };
}
