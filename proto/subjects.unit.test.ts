import { describe, expect, test } from "vitest";
import * as subjects from "./subjects.ts";

/** What has a meaning in a NATS subject, what NATS refuses in one, and what people put into names. */
const HOSTILE = [
  "a.b",
  "*",
  ">",
  "a.>",
  "frames.*",
  "",
  " ",
  "\t",
  "\r\nPUB x 0\r\n",
  "\0",
  "$SYS",
  "=",
  "=2e",
  "é",
  "🔑",
  "\ud800",
  "user:engineer",
  "mailto:a@b.c",
];

describe("subjectToken", () => {
  test.each(HOSTILE)("%j becomes one token without any character that NATS gives a meaning to", (text) => {
    expect(subjects.subjectToken(text)).toMatch(/^[A-Za-z0-9_=-]+$/);
  });

  test("keeps letters, digits, - and _ as they are", () => {
    expect(subjects.subjectToken("edge-postgres_1A")).toBe("edge-postgres_1A");
  });

  test("writes every other character as the =XX of its UTF-8 bytes", () => {
    expect(subjects.subjectToken("user:é")).toBe("user=3a=c3=a9");
    expect(subjects.subjectToken("=")).toBe("=3d");
  });

  test("different texts never share a token", () => {
    // A lone surrogate has no UTF-8 form: it counts as U+FFFD.
    const texts = HOSTILE.filter((text) => text.isWellFormed());
    expect(new Set(texts.map((text) => subjects.subjectToken(text))).size).toBe(texts.length);
  });
});

describe("subjects made from names", () => {
  const made: [string, (name: string) => string, number][] = [
    ["frames", (name) => subjects.frames(0, name, 3), 4],
    ["event", (name) => subjects.event("identity", "principal", name), 4],
    ["control", (name) => subjects.control(name), 2],
    ["inboxPrefix", (name) => subjects.inboxPrefix(name), 1],
  ];

  test.each(made)("%s has as many tokens for a hostile name as for a plain one, and no wildcard", (_, make, tokens) => {
    for (const name of ["plain", ...HOSTILE]) {
      const subject = make(name);
      expect(subject.split(".")).toHaveLength(tokens);
      expect(subject).not.toMatch(/[*>\s\0]/);
      expect(subject.split(".")).not.toContain("");
    }
  });

  test("an edge may publish its own lanes and nothing else", () => {
    expect(subjects.framesOfEdge("edge-1")).toBe("frames.*.edge-1.*");
    expect(subjects.framesOfEdge(">")).toBe("frames.*.=3e.*");
    expect(subjects.framesOfEdge("*")).toBe("frames.*.=2a.*");
  });

  test("an aggregate's subject is within its service's and kind's patterns", () => {
    expect(subjects.event("approval", "request", "r.1")).toBe("events.approval.request.r=2e1");
    expect(subjects.eventsOfKind("approval", "request")).toBe("events.approval.request.*");
    expect(subjects.eventsOfService("approval")).toBe("events.approval.>");
  });
});
