import { PassThrough } from "node:stream";
import type { Socket } from "node:net";
import { expect, test } from "vitest";
import { BackendState } from "./backend-state.ts";
import type { Question } from "./command.ts";
import { TargetOutbox } from "./target-outbox.ts";

const message = Buffer.from([0x48, 0, 0, 0, 4]);
const question = { reply: "close", cycle: 0, command: undefined } as const;

function boxed(): { outbox: TargetOutbox; backend: BackendState<Question> } {
  const backend = new BackendState<Question>();
  return { backend, outbox: new TargetOutbox(new PassThrough() as unknown as Socket, backend, () => {}) };
}

test("too many messages behind one that waits, in one stretch or in many, are a crowd until half of them are gone", () => {
  for (const stretch of [Buffer.concat(Array.from({ length: 4200 }, () => message)), undefined]) {
    const { outbox, backend } = boxed();
    const item = outbox.place(message, 0, 5, 0, question);
    const { length } = message;
    for (let i = 0; i < 2000; i++) outbox.pass(stretch ?? message, i * length, (i + 1) * length, 0, question);
    expect(outbox.crowded).toBe(false);
    for (let i = 2000; i < 4200; i++) outbox.pass(stretch ?? message, i * length, (i + 1) * length, 0, question);
    expect(outbox.crowded).toBe(true);
    outbox.admitted(item);
    expect(backend.waiting).toBe(4201);
    expect(outbox.crowded).toBe(true);
    for (let i = 0; i < 2000; i++) backend.next("3".charCodeAt(0));
    expect(outbox.crowded).toBe(true);
    for (let i = 0; i < 200; i++) backend.next("3".charCodeAt(0));
    expect(outbox.crowded).toBe(false);
  }
});

test("what is dropped with its cycle is no crowd", () => {
  const { outbox } = boxed();
  outbox.place(message, 0, 5, 0, question);
  for (let i = 0; i < 5000; i++) outbox.pass(message, 0, 5, 0, question);
  expect(outbox.crowded).toBe(true);
  outbox.drop(0);
  expect(outbox.crowded).toBe(false);
});
