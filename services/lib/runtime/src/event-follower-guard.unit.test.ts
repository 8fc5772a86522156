import { Event } from "@sallyport/proto/event";
import { event as eventSubject } from "@sallyport/proto/subjects";
import { expect, test } from "vitest";
import { EventGuard } from "./event-follower-guard.ts";

const SUBJECT = eventSubject("identity", "token", "t.1");
const said = (changes: Partial<Event> = {}) =>
  Event.encode(
    Event.fromPartial({ id: "e", service: "identity", aggregate: "token/t.1", version: 1, ...changes }),
  ).finish();
const verdict = (guard: EventGuard, bytes: Uint8Array, subject = SUBJECT): string => {
  const read = guard.read(bytes, subject);
  return read.kind === "said" ? `version ${read.event.version}` : read.why;
};

test("an event is taken once, in the order of its versions", () => {
  const guard = new EventGuard();
  expect(verdict(guard, said())).toBe("version 1");
  expect(verdict(guard, said())).toBe("repeated");
  expect(verdict(guard, said({ version: 2 }))).toBe("version 2");
  expect(verdict(guard, said())).toBe("repeated");
  expect(verdict(guard, said({ version: 3 }))).toBe("version 3");
  expect(verdict(new EventGuard(), said({ version: 0 }))).toBe("repeated");
  // begun in the middle
  expect(verdict(new EventGuard(), said({ version: 7 }))).toBe("version 7");
});

test.each([
  ["another service's", { service: "catalog" }],
  ["another kind's", { aggregate: "principal/t.1" }],
  ["another aggregate's", { aggregate: "token/t.2" }],
  ["nobody's", { aggregate: "" }],
  ["no kind's", { aggregate: "t.1" }],
])("an event on %s subject is refused, and counts for nothing", (_, changes) => {
  const guard = new EventGuard();
  expect(verdict(guard, said({ version: 9, ...changes }))).toBe("misplaced");
  expect(verdict(guard, said())).toBe("version 1");
});

test.each(['{"type":"io.nats.jetstream.api.v1.stream_info_response"}', "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"])(
  "bytes that are no event are refused: %s",
  (text) => {
    const read = new EventGuard().read(Buffer.from(text, "latin1"), SUBJECT);
    expect(read).toMatchObject({ kind: "refused" });
  },
);

test("what it remembers is bounded", () => {
  const guard = new EventGuard(2);
  const token = (id: string) =>
    verdict(guard, said({ aggregate: `token/${id}` }), eventSubject("identity", "token", id));
  expect(["a", "b", "a", "c", "b"].map(token)).toEqual(["version 1", "version 1", "repeated", "version 1", "repeated"]);
  expect(token("a")).toBe("version 1");
});
