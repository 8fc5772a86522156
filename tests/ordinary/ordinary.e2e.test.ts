import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Answer, Conversation, type Route } from "../differential/conversation.ts";
import type { Message } from "../differential/messages.ts";
import { type Place, startPlace } from "../differential/place.ts";
import { run } from "../harness/clients.ts";
import { lists } from "./lists.ts";
import { PSQL_COMMANDS } from "./psql-commands.ts";
import type { Statement, StatementList } from "./statement-list.ts";

/**
 * What people's tools send on an ordinary day passes, and where nothing of it is hidden it is answered as the server answers it.
 * An engineer may not see e-mail addresses, telephone and card numbers and notes; from the DBA nothing is hidden here.
 */
let place: Place;
const counts = { statements: 0, refused: 0, masked: 0 };

beforeAll(async () => {
  place = await startPlace(readFileSync(join(import.meta.dirname, "schema.sql"), "utf8"));
});

afterAll(async () => {
  const { statements, refused, masked } = counts;
  process.stdout.write(
    `ordinary work: ${statements} statements, ${refused} wrongly refused, ${masked} masked though nothing hidden\n`,
  );
  await place?.stop();
});

const reset = (lastOrder: number): string => `
  DELETE FROM items WHERE order_id > 300 OR position > 2;
  UPDATE items SET quantity = position WHERE quantity <> position;
  DELETE FROM orders WHERE id > 300;
  DELETE FROM feelings WHERE id > 2;
  SELECT setval('orders_id_seq', ${lastOrder}), setval('feelings_id_seq', 2);`;

async function play(list: StatementList, route: Route): Promise<Answer[][]> {
  await place.aside.run(reset(list.lastOrder ?? 1000));
  const conversation = await Conversation.open(route, place.aside);
  const answers: Answer[][] = [];
  for (const { sql, parameters } of list.statements) {
    const say: Message[] =
      parameters === undefined
        ? [["Q", sql]]
        : [["P", "", sql], ["B", "", "", parameters], ["D", "P", ""], ["E", ""], ["S"]];
    answers.push(await conversation.turn({ say }));
  }
  conversation.end();
  return answers;
}

/** Of customers more than the name is read, and that is hidden from engineers. */
const touchesHidden = ({ sql }: Statement): boolean => /"?customers"?\s*[".]|from\s+"?customers|"customers"/i.test(sql);

const errorOf = (answers: readonly Answer[]): string | undefined => {
  const error = answers.find(({ type }) => type === "E");
  return error?.body.toString("utf8").replaceAll("\0", " ");
};

const errorsIn = (said: string): string[] => said.split("\n").filter((line) => line.includes("ERROR:"));

/**
 * Without the numbers of tables: those that a list makes get new ones every time. And without what the server reports of
 * settings: a text that anybody may choose is not reported to those from whom something is hidden, for it may hold that.
 */
function plain(answers: readonly Answer[]): string[] {
  return answers.flatMap(({ type, body }) => {
    if (type === "S") return [];
    if (type !== "T") return `${type} ${body.toString("latin1")}`;
    const names: string[] = [];
    for (let at = 2; at < body.length;) {
      const end = body.indexOf(0, at);
      names.push(`${body.toString("utf8", at, end)} ${body.readUInt32BE(end + 7)} ${body.readInt32BE(end + 13)}`);
      at = end + 19;
    }
    return `T ${names.join(", ")}`;
  });
}

describe.each([["dba"], ["engineer"]])("as %s", (who) => {
  test.each(lists.map((list) => [list.client, list] as const))("%s", async (_, list) => {
    const [direct, gateway] = [await play(list, place.direct), await play(list, place.through(who))];
    const refused: string[] = [];
    const masked: string[] = [];
    list.statements.forEach((statement, i) => {
      counts.statements += 1;
      const [a, b] = [direct[i] ?? [], gateway[i] ?? []];
      const error = errorOf(b);
      if (error !== undefined && errorOf(a) === undefined) refused.push(`${statement.sql}\n  ${error}`);
      else if (who === "engineer" && touchesHidden(statement)) return;
      else if (plain(a).join("\n") !== plain(b).join("\n")) masked.push(difference(statement, plain(a), plain(b)));
    });
    counts.refused += refused.length;
    counts.masked += masked.length;
    expect({ refused, masked }).toEqual({ refused: [], masked: [] });
  });

  test("psql's backslash commands", async () => {
    const input = PSQL_COMMANDS.map((command) => `\\echo === \\${command}\n${command}\n`).join("");
    const direct = await psql(place.direct, input);
    const gateway = await psql(place.through(who), input);
    counts.statements += PSQL_COMMANDS.length;
    const wrong = PSQL_COMMANDS.filter((command) => part(direct.out, command) !== part(gateway.out, command));
    counts.masked += wrong.length;
    // What this psql asks that this server does not understand fails on both ways, in other words.
    const refused = errorsIn(gateway.err).slice(errorsIn(direct.err).length);
    counts.refused += refused.length;
    expect({ refused, wrong: wrong.map((command) => [command, part(gateway.out, command)?.slice(0, 400)]) }).toEqual({
      refused: [],
      wrong: [],
    });
  });
});

function difference({ sql }: Statement, a: readonly string[], b: readonly string[]): string {
  const at = Math.max(
    0,
    a.findIndex((line, i) => line !== b[i]),
  );
  return `${sql.slice(0, 300)}\n  direct:  ${a[at]?.slice(0, 300)}\n  gateway: ${b[at]?.slice(0, 300)}`;
}

const psql = (route: Route, input: string) =>
  run("psql", ["-X", "-v", "VERBOSITY=default", "-P", "pager=off"], {
    input,
    env: {
      PGHOST: route.host,
      PGPORT: String(route.port),
      PGUSER: route.user,
      PGPASSWORD: route.password,
      PGDATABASE: route.database,
      PGCONNECT_TIMEOUT: "30",
      LC_ALL: "C.UTF-8",
      ...(route.ca === undefined ? {} : { PGSSLMODE: "verify-full", PGSSLROOTCERT: route.ca }),
    },
  });

function part(out: string, command: string): string | undefined {
  const begins = out.indexOf(`=== ${command}\n`);
  if (begins < 0) return undefined;
  const ends = out.indexOf("\n=== ", begins + 1);
  return out.slice(begins, ends < 0 ? undefined : ends);
}
