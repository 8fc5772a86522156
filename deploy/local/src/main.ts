import { parseArgs } from "node:util";
import { resolve } from "node:path";
import { AppError } from "@sallyport/runtime";
import { hints } from "./hints.ts";
import { DEFAULT_PORTS, shifted } from "./ports.ts";
import { prepareProfiles } from "./profiles.ts";
import { startStack, type Stack } from "./stack.ts";
import { playStory } from "./story/play.ts";

const USAGE = `npm start -- [options]
  --exit            end after the story; exit 0 only if every step came out as told
  --fresh           forget earlier state first
  --no-story        only start the gateway
  --state FOLDER    where state is kept (default .sallyport); SALLYPORT_HOME names it to the CLI
  --port-base N     move every port: N is added to the defaults`;

/** 128 and the signal's number, as shells have it. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

const options = readOptions();
const started = performance.now();
const stopping = new AbortController();
const stopped = Promise.withResolvers<number>();
function stop(exitCode: number): void {
  stopping.abort();
  stopped.resolve(exitCode);
}
for (const signal of Object.keys(EXIT_CODES) as (keyof typeof EXIT_CODES)[]) {
  process.on(signal, () => stop(EXIT_CODES[signal]));
}
// Nobody reads any more what is told here: `npm start | head`.
process.stdout.on("error", () => stop(1));

process.exit(await main());

/** Resolves to the exit code. A gateway that was to stay up and is stopped has come out well. */
async function main(): Promise<number> {
  let stack: Stack | undefined;
  try {
    stack = await startStack({
      stateDir: resolve(options.state),
      fresh: options.fresh,
      ports: shifted(DEFAULT_PORTS, options.portBase),
      onEvent: (line) => console.error(`! ${line}`),
      signal: stopping.signal,
    });
    const profiles = await prepareProfiles(stack);
    console.log(`Sallyport is ready after ${((performance.now() - started) / 1000).toFixed(1)} s.`);
    const interrupted = stopped.promise.then(() => undefined);
    const story = options.story ? playStory(stack, profiles, process.stdout, stopping.signal) : [];
    const failed = await Promise.race([story, interrupted]);
    if (failed === undefined || stopping.signal.aborted) {
      console.log("\nInterrupted: everything is being stopped.");
      return await stopped.promise;
    }
    const code = failed.length > 0 ? 1 : 0;
    if (options.exit) return code;
    console.log(hints(stack, new Set(profiles.keys())));
    await stopped.promise;
    return code;
  } catch (error) {
    if (stopping.signal.aborted) return await stopped.promise;
    console.error(`\n${AppError.from(error, "local.start").message}`);
    return 1;
  } finally {
    await stack?.stop();
  }
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        exit: { type: "boolean", default: false },
        fresh: { type: "boolean", default: false },
        "no-story": { type: "boolean", default: false },
        state: { type: "string", default: ".sallyport" },
        "port-base": { type: "string", default: "0" },
        help: { type: "boolean", default: false },
      },
    });
    const portBase = Number(values["port-base"]);
    if (!Number.isInteger(portBase) || portBase < -14_000 || portBase > 45_000) {
      throw new Error(`--port-base ${values["port-base"]}: a whole number from -14000 to 45000 is wanted.`);
    }
    if (values.help) {
      console.log(USAGE);
      process.exit(0);
    }
    return { exit: values.exit, fresh: values.fresh, story: !values["no-story"], state: values.state, portBase };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}
