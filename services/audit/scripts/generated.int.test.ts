import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { messages } from "../gen/messages.ts";
import { openTestClickHouse } from "../testing/start-audit.ts";
import { generate, places } from "./describe-proto.ts";
import { describeSql, sqlDocument } from "./describe-sql.ts";

let engine: Awaited<ReturnType<typeof openTestClickHouse>>;
beforeAll(async () => void (engine = await openTestClickHouse()));
afterAll(() => engine?.remove());

const hint = "run `npm run generate -w @sallyport/audit`";

test("generated-messages: the table is that of the .proto sources", () => {
  const generated = generate();
  expect(readFileSync(places.messages, "utf8"), hint).toBe(generated.messages);
  expect(readFileSync(places.events, "utf8"), hint).toBe(generated.events);
});

test("generated-messages: every field has a sensitivity of its own", () => {
  for (const [name, fields] of Object.entries(messages)) {
    // a map's entries carry that of the map
    if (name.endsWith("Entry")) continue;
    for (const [, field, , , , sensitivity] of fields)
      expect(["public", "sensitive", "secret"], `${name}.${field}`).toContain(sensitivity);
  }
  // the check looks at something
  expect(messages["TokenIssued"]?.find(([, name]) => name === "token_hash")?.[5]).toBe("secret");
});

test("generated-sql: docs/sql.md names every view and column as the engine has them", async () => {
  expect(readFileSync(sqlDocument, "utf8"), hint).toBe(await describeSql(engine.clickhouse.work));
});
