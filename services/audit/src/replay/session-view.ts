/**
 * One session's records as a reader may see them, in order from its beginning: what the client was shown, and why. Nothing
 * is passed on that this file does not name.
 */
import type { Shown } from "@sallyport/proto/audit";
import type { Principal } from "@sallyport/proto/principal";
import type { Parameter, RecordBody } from "@sallyport/proto/record";
import { type CommandFacts, type SignedVerdict, Verdict } from "@sallyport/proto/verdict";
import { STATEMENT_TEXT } from "../reader.ts";
import { PostgresFrames } from "./postgres-frames.ts";

type Fact = NonNullable<RecordBody["fact"]>;

export interface RecordView {
  body: RecordBody;
  shown: Shown[];
}

/** Stands for a text that has no form without its constants. */
const NOT_SHOWN = "[not shown]";
/** Verdicts whose normalized text is remembered. */
const MAX_VERDICTS = 10_000;

export class SessionView {
  readonly #texts: boolean;
  readonly #normalized = new Map<string, string>();
  #frames: PostgresFrames | undefined;

  /** `revealed`: classes that the reader may see in clear on the session's connection */
  constructor(revealed: ReadonlySet<string>, protocol: string) {
    this.#texts = revealed.has(STATEMENT_TEXT);
    if (protocol === "postgresql") this.#frames = new PostgresFrames({ revealed, texts: this.#texts });
  }

  /** @param body of the session's next record */
  view(body: RecordBody): RecordView {
    const { fact } = body;
    if (fact === undefined) return { body, shown: [] };
    if (fact.$case === "verdictReached") this.#learn(fact.value.verdict);
    if (fact.$case === "frameToClient") return this.#toClient(fact.value);
    return { body: { fact: this.#texts ? fact : this.#withoutTexts(fact) }, shown: [] };
  }

  #toClient(frame: Extract<Fact, { $case: "frameToClient" }>["value"]): RecordView {
    // of a protocol that cannot be taken apart here, only those see anything who may see everything in it
    const view = this.#frames?.view(frame.command, frame.data, frame.columns) ?? {
      data: Buffer.alloc(0),
      shown: [NOT_DECODED],
    };
    return { body: { fact: { $case: "frameToClient", value: { ...frame, data: view.data } } }, shown: view.shown };
  }

  #withoutTexts(fact: Fact): Fact {
    switch (fact.$case) {
      case "sessionOpened":
        return { $case: "sessionOpened", value: { ...fact.value, principal: withoutSubject(fact.value.principal) } };
      case "sessionRefused":
        return {
          $case: "sessionRefused",
          value: { ...fact.value, claimedUser: "", principal: withoutSubject(fact.value.principal) },
        };
      case "verdictReached":
        return { $case: "verdictReached", value: { verdict: withoutInputs(fact.value.verdict) } };
      case "commandAdmitted":
        return {
          $case: "commandAdmitted",
          value: {
            ...fact.value,
            text: this.#normalizedOf(fact.value.verdictId),
            parameters: withoutValues(fact.value.parameters),
          },
        };
      case "commandDenied":
        return {
          $case: "commandDenied",
          value: {
            ...fact.value,
            text: this.#normalizedOf(fact.value.verdictId),
            parameters: withoutValues(fact.value.parameters),
          },
        };
      case "statementPrepared":
        return { $case: "statementPrepared", value: { ...fact.value, text: this.#normalizedOf(fact.value.verdictId) } };
      case "frameFromClient":
        return { $case: "frameFromClient", value: { ...fact.value, data: Buffer.alloc(0) } };
      case "frameToClient":
        throw new Error("frames to the client are masked elsewhere");
      case "sessionClosed":
      case "commandHeld":
      case "commandForwarded":
      case "commandCompleted":
      case "resultMasked":
      case "cancelRequested":
      case "resultRefused":
        return fact;
    }
  }

  #learn(signed: SignedVerdict | undefined): void {
    if (this.#texts || signed === undefined || this.#normalized.size >= MAX_VERDICTS) return;
    const verdict = decodeVerdict(signed);
    if (verdict !== undefined) this.#normalized.set(verdict.id, verdict.facts?.normalized ?? "");
  }

  #normalizedOf(verdictId: string): string {
    return this.#normalized.get(verdictId) || NOT_SHOWN;
  }
}

const NOT_DECODED: Shown = { what: { $case: "text", value: NOT_SHOWN } };

const withoutSubject = (principal: Principal | undefined): Principal | undefined =>
  principal === undefined ? undefined : { ...principal, subject: "" };

/** NULL stays NULL; a value's place stays, without the value. */
const withoutValues = (parameters: Parameter[]): Parameter[] =>
  parameters.map((parameter) => (parameter.value === undefined ? parameter : { ...parameter, value: Buffer.alloc(0) }));

function decodeVerdict(signed: SignedVerdict): Verdict | undefined {
  try {
    return Verdict.decode(signed.verdict);
  } catch {
    return undefined;
  }
}

/** Of what a command makes or runs by a name: the name, and the normalized form. */
const withoutInnerTexts = (facts: CommandFacts): CommandFacts => ({
  ...facts,
  named: facts.named.map((named) => ({ ...named, text: "" })),
  executes: facts.executes.map((executed) => ({ ...executed, text: "" })),
});

/** What is left no longer is what was signed, so the signature goes too. */
function withoutInputs(signed: SignedVerdict | undefined): SignedVerdict | undefined {
  if (signed === undefined) return undefined;
  const verdict = decodeVerdict(signed);
  const shown =
    verdict === undefined
      ? Buffer.alloc(0)
      : Buffer.from(
          Verdict.encode({
            ...verdict,
            inputs: Buffer.alloc(0),
            facts: verdict.facts === undefined ? undefined : withoutInnerTexts(verdict.facts),
          }).finish(),
        );
  return { verdict: shown, mac: Buffer.alloc(0), keyId: signed.keyId };
}
