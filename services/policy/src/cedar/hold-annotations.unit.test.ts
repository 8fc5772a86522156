import { expect, test } from "vitest";
import { compile } from "./compile.ts";

const vocabulary = { connections: new Set<string>(), classes: new Set<string>() };
const problemsOf = (annotations: string, scope = 'action == Action::"connect"', effect = "forbid"): string[] => {
  const text = `@id("x") ${annotations} ${effect} (principal, ${scope}, resource);`;
  return compile([{ path: "p.cedar", text }], vocabulary).problems.map(({ message }) => message);
};

test("a hold on connect is for a time, and only such a one is", () => {
  expect(problemsOf('@approval("dba") @window("1h")')).toEqual([]);
  expect(problemsOf('@approval("dba") @window("1h") @break_glass("30m")')).toEqual([]);
  expect(problemsOf('@approval("dba")')).toMatchObject([expect.stringMatching(/actions that can wait/)]);
  for (const scope of ["action", 'action == Action::"read"', 'action in [Action::"connect", Action::"read"]'])
    expect(problemsOf('@approval("dba") @window("1h")', scope)).toEqual([
      '@window needs the scope action == Action::"connect", and nothing else',
    ]);
});

test("glass is broken for commands and logins that others can let through", () => {
  expect(problemsOf('@approval("dba") @break_glass("30m")', 'action == Action::"write"')).toEqual([]);
  expect(problemsOf('@break_glass("30m")')).toEqual(['@break_glass needs an @approval("group") beside it']);
  expect(problemsOf('@window("30m")')).toEqual(['@window needs an @approval("group") beside it']);
  expect(problemsOf('@break_glass("30m")', undefined, "permit")).toContain(
    "@break_glass means nothing on a permit: it belongs on a forbid",
  );
});

test.each(["", "0s", "1", "1y", "-1h", "8d", "1.5h"])('a time is bounded and has its unit: "%s"', (text) => {
  expect(problemsOf(`@approval("dba") @window("${text}")`)).toMatchObject([expect.stringMatching(/from "1s" to "7d"/)]);
  expect(problemsOf(`@approval("dba") @window("1h") @break_glass("${text}")`)).toMatchObject([
    expect.stringMatching(/from "1s" to "1d"/),
  ]);
});

test("nobody breaks glass for longer than a day", () => {
  expect(problemsOf('@approval("dba") @window("2d") @break_glass("25h")')).toHaveLength(1);
});

test("who may break glass is said of connections", () => {
  const text = (resource: string) =>
    `@id("x") permit (principal in Group::"sre", action == Action::"break-glass", ${resource}) when { context.session.mfa };`;
  const problems = (resource: string) => compile([{ path: "p.cedar", text: text(resource) }], vocabulary).problems;
  expect(problems('resource in Label::"env=production"')).toEqual([]);
  expect(problems('resource == Gateway::"sallyport"')).not.toEqual([]);
});
