import { defineConfig } from "vitest/config";

const exclude = ["**/node_modules/**", "proto/gen/**"];

/**
 * One project a tier. Two workers at most: the tests of the slow tiers start servers of their own, and a machine with
 * two cores is what the project promises to work on.
 */
export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: "unit",
          include: ["**/*.unit.test.ts"],
          exclude,
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "int",
          include: ["**/*.int.test.ts"],
          exclude,
          testTimeout: 90_000,
          hookTimeout: 120_000,
          pool: "forks",
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "e2e",
          include: ["tests/**/*.e2e.test.ts"],
          exclude: [...exclude, "tests/faults/**"],
          globalSetup: ["tests/harness/global-gateway.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          pool: "forks",
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          // One real gateway before a database full of marked values: tests/corpus.
          name: "corpus",
          include: ["tests/corpus/**/*.corpus.test.ts"],
          exclude,
          globalSetup: ["tests/corpus/global-gateway.ts"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          pool: "forks",
          fileParallelism: false,
          maxConcurrency: 3,
          sequence: { groupOrder: 4 },
        },
      },
      {
        test: {
          name: "faults",
          include: ["tests/faults/**/*.test.ts"],
          exclude,
          globalSetup: ["tests/faults/global-gateway.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          pool: "forks",
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
