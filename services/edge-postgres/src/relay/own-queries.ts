import { randomBytes } from "node:crypto";
import { serialize } from "pg-protocol";
import type { FieldDescription } from "../wire/backend.ts";
import type { OwnQuestion, Question } from "./command.ts";

/**
 * The gateway's own questions on the client's connection. They use a statement and a portal of their own, under a name
 * that nobody can guess, so that they neither disturb the client's nor can be answered by something that the client made.
 */
export interface OwnMessages {
  readonly bytes: Buffer;
  readonly questions: readonly Question[];
}

export type Rows = readonly (readonly (string | null)[])[];

export class OwnQueries {
  readonly #name = `sallyport_${randomBytes(12).toString("hex")}`;
  /** Fails at the target: no statement has this name. Puts a transaction into the failed state, as an error must. */
  readonly failing: Buffer = serialize.bind({ portal: this.#name, statement: `${this.#name}_refused` });
  readonly #closeStatement = serialize.close({ type: "S", name: this.#name });
  readonly #closePortal = serialize.close({ type: "P", name: this.#name });

  /**
   * A query, as messages. `sync`: false in the middle of a client's pipeline, whose implicit transaction a Sync would end.
   * `done` gets the rows, or undefined when the target refused.
   */
  ask(sql: string, cycle: number, sync: boolean, done: (rows: Rows | undefined) => void): OwnMessages {
    const between: Asked[] = [
      ["parse", serialize.parse({ name: this.#name, text: sql })],
      ["bind", serialize.bind({ portal: this.#name, statement: this.#name })],
      ["execute", serialize.execute({ portal: this.#name, rows: 0 })],
      ["close", this.#closePortal],
    ];
    return this.#messages(between, cycle, sync, (own) => done(own.failed ? undefined : own.rows));
  }

  /**
   * What a query returns, column by column, without running it: as `ask`. `done` gets undefined when the target refused, and
   * nothing for what returns no rows.
   */
  describe(
    sql: string,
    cycle: number,
    sync: boolean,
    done: (fields: readonly FieldDescription[] | undefined) => void,
  ): OwnMessages {
    const between: Asked[] = [
      ["parse", serialize.parse({ name: this.#name, text: sql })],
      ["describe-statement", serialize.describe({ type: "S", name: this.#name })],
    ];
    return this.#messages(between, cycle, sync, (own) => done(own.failed ? undefined : own.fields));
  }

  /** A statement of the gateway's own, from before it is made until after it is gone. */
  #messages(between: readonly Asked[], cycle: number, sync: boolean, done: (own: OwnQuestion) => void): OwnMessages {
    const own: OwnQuestion = { rows: [], fields: [], failed: false, finish: () => done(own) };
    const close: Asked = ["close", this.#closeStatement];
    const asked = [close, ...between, close];
    if (sync) asked.push(["sync", serialize.sync()]);
    const questions = asked.map(([reply], i): Question => {
      return { reply, cycle, command: undefined, own, last: i === asked.length - 1 };
    });
    const messages = asked.map(([, message]) => message);
    return { bytes: Buffer.concat(sync ? messages : [...messages, serialize.flush()]), questions };
  }
}

/** A message, and what answers it. */
type Asked = readonly [reply: Question["reply"], message: Buffer];
