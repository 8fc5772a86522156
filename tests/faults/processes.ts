import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Processes that have to do with one of these folders: in their command, environment or working directory. */
export function processesOf(...folders: readonly string[]): { pid: number; command: string }[] {
  const concerned = (text: string): boolean => folders.some((folder) => text.includes(folder));
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map((name) => ({ pid: Number(name), command: told(() => readFileSync(`/proc/${name}/cmdline`, "utf8")) }))
    .filter(
      ({ pid, command }) =>
        concerned(command) ||
        concerned(told(() => readFileSync(`/proc/${pid}/environ`, "utf8"))) ||
        concerned(told(() => readlinkSync(`/proc/${pid}/cwd`))),
    )
    .map(({ pid, command }) => ({ pid, command: command.replaceAll("\0", " ").trim() }));
}

/** A process that is ending answers nothing. */
function told(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}
