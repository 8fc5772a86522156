import { EventEmitter } from "node:events";
import type { ClientDuplexStream } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { eventually } from "../testing/eventually.ts";
import { openLink } from "./link.ts";
import { createLogger } from "./log.ts";

interface Message {
  id: number;
  text: string;
}

/** A stream that the test plays the peer of. */
class Wire extends EventEmitter {
  readonly sent: Message[] = [];
  write(message: Message): boolean {
    this.sent.push({ ...message });
    return true;
  }
  cancel(): void {}
}

function openWires() {
  const wires: Wire[] = [];
  const log = createLogger({ service: "x", instance: "x", log: { level: "silent" } });
  const link = openLink<Message, Message>({
    name: "test",
    log,
    maxPending: 3,
    open: () => {
      const wire = new Wire();
      wires.push(wire);
      return wire as unknown as ClientDuplexStream<Message, Message>;
    },
  });
  return { link, wires };
}

test("answers are matched by id, in any order", async () => {
  const { link, wires } = openWires();
  wires[0]!.emit("metadata");
  const first = link.request({ text: "a" }, { deadlineMs: 1_000 });
  const second = link.request({ text: "b" }, { deadlineMs: 1_000 });
  const [a, b] = wires[0]!.sent;
  wires[0]!.emit("data", { id: b!.id, text: "B" });
  wires[0]!.emit("data", { id: 12345, text: "of nobody" });
  wires[0]!.emit("data", { id: a!.id, text: "A" });
  expect([(await first).text, (await second).text]).toEqual(["A", "B"]);
  expect(link.pending()).toBe(0);
  link.close();
});

test("what was sent fails when the stream breaks; what waits goes out on the next one", async () => {
  const { link, wires } = openWires();
  const early = link.request({ text: "early" }, { deadlineMs: 5_000 });
  expect(wires[0]!.sent).toEqual([]);
  wires[0]!.emit("error", new Error("refused"));
  await eventually(() => wires.length === 2);
  wires[1]!.emit("metadata");
  expect(wires[1]!.sent.map((message) => message.text)).toEqual(["early"]);
  wires[1]!.emit("end");
  await expect(early).rejects.toMatchObject({ code: "unavailable" });
  expect(link.ready()).toBe(false);
  await eventually(() => wires.length === 3);
  link.close();
});

test("deadline, abort, too many, closed", async () => {
  const { link, wires } = openWires();
  wires[0]!.emit("metadata");
  const abort = new AbortController();
  const slow = link.request({ text: "slow" }, { deadlineMs: 30 });
  const aborted = link.request({ text: "aborted" }, { deadlineMs: 5_000, signal: abort.signal });
  const left = link.request({ text: "left" }, { deadlineMs: 5_000 });
  await expect(link.request({ text: "fourth" }, { deadlineMs: 5_000 })).rejects.toMatchObject({ code: "exhausted" });
  abort.abort();
  await expect(aborted).rejects.toMatchObject({ code: "cancelled" });
  await expect(slow).rejects.toMatchObject({ code: "deadline" });
  link.close();
  await expect(left).rejects.toMatchObject({ code: "unavailable" });
  await expect(link.request({ text: "x" }, { deadlineMs: 1 })).rejects.toMatchObject({ code: "unavailable" });
});
