import type { Script } from "./compare.ts";
import type { Message } from "./messages.ts";

/** Numbers from a seed (mulberry32): the same scripts on every machine. */
function numbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const TEXTS = [
  "SELECT id, word FROM things WHERE id < 8 ORDER BY id",
  "SELECT $1::integer + 1",
  "SELECT $1::text, id FROM things WHERE id < 4 ORDER BY id",
  "SELECT 1 / 0",
  "SELECT fails(id) FROM things WHERE id < 5 ORDER BY id",
  "SELECT * FROM no_such_table",
  "",
  "BEGIN",
  "COMMIT",
  "ROLLBACK",
  "SAVEPOINT a",
  "ROLLBACK TO a",
  "SELECT say('random')",
  "SET datestyle = 'SQL, DMY'",
  "SHOW datestyle",
  "COPY (SELECT id FROM things WHERE id < 4 ORDER BY id) TO STDOUT",
  "COPY no_such_table FROM STDIN",
  "INSERT INTO scratch VALUES (1)",
  "SELECT count(*) FROM scratch",
  "DELETE FROM scratch",
  "DECLARE c CURSOR FOR SELECT id FROM things ORDER BY id",
  "FETCH 2 FROM c",
];
const SIMPLE_ONLY = ["SELECT 1; SELECT 2", "SELECT 1; SELECT 1 / 0; SELECT 2", "BEGIN; SELECT 1; COMMIT", ";;"];
const STATEMENTS = ["", "a", "b"];
const PORTALS = ["", "p", "q"];

/** A session of messages in any order, as a client would never send them; it ends so that both sides are known to be done. */
export function randomScript(seed: number): Script {
  const below = numbers(seed);
  const one = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  const bind = (): Message => {
    const formats = one<readonly number[]>([[], [], [0], [1]]);
    return [
      "B",
      one(PORTALS),
      one(STATEMENTS),
      one<readonly (string | null)[]>([[], [], ["7"], [null], ["x"]]),
      [],
      formats,
    ];
  };
  const message = (): Message => {
    switch (below(16)) {
      case 0:
      case 1:
        return ["Q", one([...TEXTS, ...SIMPLE_ONLY])];
      case 2:
      case 3:
      case 4:
        return ["P", one(STATEMENTS), one(TEXTS)];
      case 5:
      case 6:
      case 7:
        return bind();
      case 8:
      case 9:
        return ["E", one(PORTALS), one([0, 0, 1, 3])];
      case 10:
        return ["D", one(["S", "P"] as const), one(STATEMENTS)];
      case 11:
        return ["D", "P", one(PORTALS)];
      case 12:
        return ["C", one(["S", "P"] as const), one([...STATEMENTS, ...PORTALS])];
      case 13:
        return one<Message>([["H"], ["f", "why not"], ["c"], ["d", "data\n"]]);
      default:
        return ["S"];
    }
  };
  const say = Array.from({ length: 4 + below(28) }, message);
  // Whatever state both are in: out of a COPY, out of a skipped pipeline, out of a transaction.
  const settle: Message[] = [["f", "done"], ["S"], ["Q", "ROLLBACK"], ["Q", "SET my.done = 'yes'"]];
  const done: Message = ["Q", "SELECT 'the end'"];
  return {
    name: `seed ${seed}`,
    before: "TRUNCATE scratch",
    turns: [
      { say: [...say, ...settle], until: "Z", ...(below(3) === 0 ? { pieces: 1 + below(40) } : {}) },
      { say: [done], untilText: "the end" },
    ],
  };
}
