#!/usr/bin/env node
import { CommanderError } from "commander";
import { EXIT } from "./exit-codes.ts";
import { createProgram } from "./program.ts";

const program = createProgram();
// A reader that went away (`| head`) is not an error.
process.stdout.on("error", () => process.exit(EXIT.ok));

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
}
