import { CommanderError } from "commander";
import { afterEach, expect, test, vi } from "vitest";
import { createProgram } from "./program.ts";

afterEach(() => vi.restoreAllMocks());

/** commander ends the process itself where nothing was told to it: every command, however deep, must leave that to us. */
test.each([
  ["nonsense"],
  ["--format", "xml", "whoami"],
  ["token", "create", "--ttl", "1h"],
  ["token", "create", "--label", "a", "--ttl", "1h", "--bogus"],
  ["token", "list", "--bogus"],
  ["token", "bogus"],
  ["plan"],
  ["deny", "ap_1"],
  ["request", "orders", "--for", "1h"],
  ["request", "orders", "--reason", "ticket 7"],
  ["break-glass", "orders"],
  ["explain", "orders"],
  ["explain", "orders", "SELECT 1", "--bogus"],
  ["doctor"],
  ["completion", "tcsh"],
])("wrong use is ours to end: %s", async (...args) => {
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
  const exit = vi.spyOn(process, "exit").mockImplementation(() => {
    throw new Error("commander ended the process");
  });
  const ended = await createProgram()
    .parseAsync(args, { from: "user" })
    .catch((error: unknown) => error);
  expect(exit).not.toHaveBeenCalled();
  expect(ended).toBeInstanceOf(CommanderError);
  expect((ended as CommanderError).exitCode).not.toBe(0);
});
