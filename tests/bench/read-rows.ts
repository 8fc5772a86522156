import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { LibpqEnvironment } from "./contenders/contender.ts";
import type { RowsRead } from "./row-reader.ts";

const READER = fileURLToPath(import.meta.resolve("./row-reader.ts"));

/** Runs the row reader in a process of its own, so that its work burdens no measurement in this one. */
export async function readRows(env: LibpqEnvironment, sql: string): Promise<RowsRead> {
  const child = spawn(process.execPath, [READER, JSON.stringify(env), sql], { stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`the row reader ended with ${code}: ${err.trim().slice(0, 500)}`);
  return JSON.parse(out) as RowsRead;
}
