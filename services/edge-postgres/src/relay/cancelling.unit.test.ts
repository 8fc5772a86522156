import { expect, test } from "vitest";
import { Cancelling } from "./cancelling.ts";

function cancelling(): {
  ask(command: number): void;
  dials(): number;
  answer(): Promise<void>;
  running: number;
  done: number;
} {
  const open: (() => void)[] = [];
  let dials = 0;
  const made = {
    running: 0,
    done: 0,
    ask: (command: number): void => {
      made.running = command;
      it.ask(command);
    },
    dials: () => dials,
    answer: async (): Promise<void> => {
      open.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
  const dial = (): Promise<void> => {
    dials += 1;
    return new Promise((resolve) => open.push(resolve));
  };
  const it = new Cancelling(
    dial,
    () => made.running,
    () => {
      made.done += 1;
    },
  );
  return made;
}

test("a thousand requests are one connection, and one more while the same command still runs", async () => {
  const target = cancelling();
  for (let i = 0; i < 1000; i++) target.ask(7);
  expect(target.dials()).toBe(1);
  await target.answer();
  expect(target.dials()).toBe(2);
  await target.answer();
  expect(target.dials()).toBe(2);
  target.ask(8);
  expect(target.dials()).toBe(3);
});

test("another command that runs by then is not cancelled for it", async () => {
  const target = cancelling();
  target.ask(7);
  target.ask(7);
  target.running = 8;
  await target.answer();
  expect(target.dials()).toBe(1);
});
