import type { Stack } from "@sallyport/local";
import type { BenchDatabase } from "../bench-database.ts";
import type { Contender } from "./contender.ts";

export interface RecordingOnly extends Contender {
  readonly name: "recording-only";
  relayPid(): number;
  stop(): Promise<void>;
}

export async function recordingOnly(stack: Stack, database: BenchDatabase): Promise<RecordingOnly> {
  throw new Error(`not yet: ${stack.ports.nats} ${database.database}`);
}
