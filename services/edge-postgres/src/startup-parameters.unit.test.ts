import { describe, expect, test } from "vitest";
import { readStartup, splitOptions, type StartupRequest } from "./startup-parameters.ts";

const read = (parameters: Record<string, string>) => readStartup(new Map(Object.entries(parameters)));

test("dbname is the connection, or connection/database", () => {
  expect(read({ user: "engineer", database: "orders" })).toMatchObject({ connection: "orders", database: "" });
  expect(read({ user: "engineer", database: "orders/archive" })).toMatchObject({
    connection: "orders",
    database: "archive",
  });
  expect(read({ user: "engineer" })).toMatchObject({ connection: "engineer" });
  expect(read({ database: "orders" })).toMatchObject({ sqlstate: "28000" });
});

test("what changes how data is shown passes, and the encoding is UTF8", () => {
  const request = read({
    user: "engineer",
    application_name: "psql",
    client_encoding: "SQL_ASCII",
    DateStyle: "ISO",
    options: "-c statement_timeout=5s --search-path=a\\ b -cgeqo=off",
    "_pq_.something": "1",
  }) as StartupRequest;
  expect(request.parameters).toEqual([
    ["client_encoding", "UTF8"],
    ["application_name", "psql"],
    ["datestyle", "ISO"],
    ["statement_timeout", "5s"],
    ["search_path", "a b"],
    ["geqo", "off"],
  ]);
  expect(request.protocolOptions).toEqual(["_pq_.something"]);
});

describe("refused, with the reason", () => {
  test.each([
    [{ role: "postgres" }, "role"],
    [{ session_preload_libraries: "x" }, "session_preload_libraries"],
    [{ client_encoding: "LATIN1" }, "UTF8"],
    [{ standard_conforming_strings: "off" }, "must stay on"],
    [{ options: "-c standard_conforming_strings=off" }, "must stay on"],
    [{ options: "-c role=postgres" }, "role"],
    [{ options: "--client-encoding=SJIS" }, "UTF8"],
    [{ options: "-W 5" }, "options"],
    [{ options: "-c" }, "options"],
    [{ work_mem: "x".repeat(2000) }, "too long"],
  ])("%j", (parameters, reason) => {
    expect(read({ user: "engineer", ...parameters })).toMatchObject({
      sqlstate: "22023",
      message: expect.stringContaining(reason),
    });
  });
});

test.each(["true", "on", "1", "database", "yes", "tRuE", "nonsense"])(
  "replication=%s is refused, and told why",
  (value) => {
    expect(read({ user: "engineer", replication: value })).toMatchObject({
      sqlstate: "0A000",
      message: expect.stringContaining("replication connections do not pass"),
    });
  },
);

test.each(["false", "off", "0", "no", "FALSE"])("replication=%s is an ordinary connection", (value) => {
  expect(read({ user: "engineer", replication: value })).toMatchObject({ parameters: [["client_encoding", "UTF8"]] });
});

test("options are split as the server does", () => {
  expect(splitOptions("  -c a=b\\\\c\t--d-e=f=g ")).toEqual([
    ["a", "b\\c"],
    ["d_e", "f=g"],
  ]);
  expect(splitOptions("")).toEqual([]);
});
