import type { BenchOptions } from "../options.ts";
import type { SectionReport } from "../report.ts";
import type { World } from "../world.ts";
export async function pipeline(_world: World, _options: BenchOptions): Promise<SectionReport> {
  throw new Error("not yet");
}
