import { type Answer, type Aside, Conversation, type Route, type Turn } from "./conversation.ts";

/** What is said in one session. */
export interface Script {
  readonly name: string;
  readonly turns: readonly Turn[];
  /** run by somebody else before each time */
  readonly before?: string;
  /** startup parameters */
  readonly parameters?: Readonly<Record<string, string>>;
}

interface Outcome {
  readonly turns: readonly (readonly Answer[])[];
  readonly closed: boolean;
}

async function run(script: Script, route: Route, aside: Aside): Promise<Outcome> {
  if (script.before !== undefined) await aside.run(script.before);
  const conversation = await Conversation.open(route, aside, script.parameters);
  // How the password was asked for is each one's own.
  const turns: (readonly Answer[])[] = [conversation.login.filter(({ type }) => type !== "R")];
  try {
    for (const turn of script.turns) turns.push(await conversation.turn(turn));
    // Where the last turn's text ended what was said before, which answers came in which turn is chance.
    const joined = script.turns.some(({ untilText }) => untilText !== undefined);
    return { turns: joined ? [turns[0] ?? [], turns.slice(1).flat()] : turns, closed: conversation.closed };
  } finally {
    conversation.end();
  }
}

/** The differences of what is answered on two routes; empty: every byte that has to be the same is the same. */
export async function differences(script: Script, direct: Route, gateway: Route, aside: Aside): Promise<string[]> {
  const expected = await run(script, direct, aside);
  const got = await run(script, gateway, aside);
  const lines: string[] = [];
  expected.turns.forEach((answers, turn) => {
    const others = got.turns[turn] ?? [];
    for (let at = 0; at < Math.max(answers.length, others.length); at++) {
      const [wanted, found] = pair(answers[at], others[at]);
      if (wanted === found) continue;
      lines.push(`${script.name}, turn ${turn}, answer ${at}:\n  direct:  ${wanted}\n  gateway: ${found}`);
    }
  });
  if (expected.closed !== got.closed) lines.push(`${script.name}: closed: ${expected.closed}, ${got.closed}`);
  return lines;
}

/**
 * What the gateway says in words of its own, where the server says it in its: a text that does not parse, names that it does
 * not know, and the end of a session whose client broke the protocol. Type, severity and SQLSTATE are those of the server.
 */
const OWN_WORDS = /it does not parse|The gateway does not know it|^[A-Za-z ]+: |is not expected here/m;

function pair(direct: Answer | undefined, gateway: Answer | undefined): [string, string] {
  if (direct?.type === "E" && gateway?.type === "E" && OWN_WORDS.test(words(gateway))) {
    return [kindOf(direct), kindOf(gateway)];
  }
  if (direct?.type === "E" && gateway?.type === "E" && kindOf(direct) === NO_PORTAL) {
    return [withoutSource(direct), withoutSource(gateway)];
  }
  return [shown(direct), shown(gateway)];
}

/** The gateway asks for a portal's description before it is run: the same error comes from another line of the server's source. */
const NO_PORTAL = "E ERROR ERROR 34000";
const withoutSource = (error: Answer): string =>
  JSON.stringify([...fieldsOf(error)].filter(([code]) => !/[FLR]/.test(code)));

const fieldsOf = ({ body }: Answer): Map<string, string> =>
  new Map(
    body
      .toString("utf8")
      .split("\0")
      .map((field) => [field.slice(0, 1), field.slice(1)]),
  );

const words = (error: Answer): string =>
  [...fieldsOf(error)].map(([code, text]) => (/[MD]/.test(code) ? text : "")).join("\n");

function kindOf(error: Answer): string {
  const fields = fieldsOf(error);
  return `E ${fields.get("S")} ${fields.get("V")} ${fields.get("C")}`;
}

/** The message in readable bytes, without what must differ: the cancel key, and the pid in a notification. */
function shown(answer: Answer | undefined): string {
  if (answer === undefined) return "nothing";
  const { type, body } = answer;
  if (type === "K") return "K";
  return `${type} ${readable(type === "A" ? body.subarray(4) : body)}`;
}

const readable = (bytes: Buffer): string =>
  bytes.length > 4096
    ? `${bytes.length} bytes, ${bytes.toString("latin1", 0, 64)}…, ${sum(bytes)}`
    : JSON.stringify(bytes.toString("latin1"));

function sum(bytes: Buffer): number {
  let value = 0;
  for (const byte of bytes) value = (Math.imul(value, 31) + byte) | 0;
  return value;
}
