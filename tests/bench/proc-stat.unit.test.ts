import { expect, test } from "vitest";
import { parseProcStat } from "./proc-stat.ts";

const LINE =
  "4242 (postgres) S 4200 4242 4242 0 -1 4194304 812 90 3 0 151 62 700 330 20 0 1 0 123456 221184000 3010 184467 1 1 0 0";

test("reads the four times and the parent", () => {
  expect(parseProcStat(LINE)).toEqual({
    pid: 4242,
    parent: 4200,
    user: 151,
    system: 62,
    childUser: 700,
    childSystem: 330,
  });
});

test("a name may hold spaces and parentheses", () => {
  const named = LINE.replace("(postgres)", "(tmux: (a) S 1 2)");
  expect(parseProcStat(named)).toEqual(parseProcStat(LINE));
});

test("a line cut short is no process", () => {
  for (let length = 0; length < LINE.indexOf(" 330"); length++) {
    expect(parseProcStat(LINE.slice(0, length)), `${length} bytes`).toBeUndefined();
  }
});

test("the kernel's own line is read", async () => {
  const { readFileSync } = await import("node:fs");
  expect(parseProcStat(readFileSync("/proc/self/stat", "utf8"))).toMatchObject({
    pid: process.pid,
    parent: process.ppid,
  });
});
