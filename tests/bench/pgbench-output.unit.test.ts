import { expect, test } from "vitest";
import { parsePgbench } from "./pgbench-output.ts";

const OUTPUT = `pgbench (15.18 (Debian 15.18-0+deb12u1), server 18.4)
transaction type: <builtin: select only>
scaling factor: 10
query mode: prepared
number of clients: 8
number of threads: 2
maximum number of tries: 1
duration: 4 s
number of transactions actually processed: 108774
number of failed transactions: 0 (0.000%)
latency average = 0.294 ms
initial connection time = 21.655 ms
tps = 27199.412345 (without initial connection time)
`;

test("reads what pgbench prints", () => {
  expect(parsePgbench(OUTPUT)).toEqual({
    transactions: 108_774,
    failed: 0,
    latency: 0.294,
    connecting: 21.655,
    tps: 27_199.412345,
  });
});

test("failed transactions are told", () => {
  const failed = OUTPUT.replace("failed transactions: 0 (0.000%)", "failed transactions: 12 (0.011%)");
  expect(parsePgbench(failed).failed).toBe(12);
});

test.each(["transactions actually", "failed transactions", "latency average", "initial connection", "tps ="])(
  "without its line `%s` the run does not count",
  (missing) => {
    const without = OUTPUT.split("\n")
      .filter((line) => !line.includes(missing))
      .join("\n");
    expect(() => parsePgbench(without)).toThrow(/pgbench printed no/);
  },
);
