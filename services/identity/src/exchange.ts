import { AppError } from "@sallyport/runtime";
import type { Authenticated, Authenticator } from "./authenticator.ts";
import { asAppError } from "./refusal.ts";
import type { Handed, TokenDesk } from "./token-desk.ts";

export interface ExchangeInput {
  readonly subjectToken: string;
  readonly subjectTokenType: string;
  /** empty: nobody else acts */
  readonly actorToken: string;
  readonly actorTokenType: string;
}

/** RFC 8693 section 3. */
const TYPES = new Set(["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:access_token"]);
const op = "identity.exchange";

/**
 * Token exchange (RFC 8693): a trusted issuer's workload token, or one of our own, for a signed access token. With an
 * actor token, whoever that names acts for the subject, and every one in the chain stays visible.
 */
export class Exchange {
  readonly #authenticator: Authenticator;
  readonly #desk: TokenDesk;

  constructor(authenticator: Authenticator, desk: TokenDesk) {
    this.#authenticator = authenticator;
    this.#desk = desk;
  }

  async exchange(input: ExchangeInput): Promise<Handed> {
    const hasActor = input.actorToken !== "";
    if (!TYPES.has(input.subjectTokenType) || (hasActor && !TYPES.has(input.actorTokenType))) {
      throw new AppError("invalid-input", op, `a token type must be one of ${[...TYPES].join(", ")}`);
    }
    if (!hasActor && input.actorTokenType !== "") {
      throw new AppError("invalid-input", op, "an actor token type is given without an actor token");
    }
    const subject = await this.#authenticated(input.subjectToken);
    const actor = hasActor ? await this.#authenticated(input.actorToken) : undefined;
    if (actor !== undefined) mayAct(subject, actor);
    return this.#desk.exchange(
      subject.token,
      actor === undefined ? undefined : { entry: actor.token, issuer: actor.principal.issuer },
    );
  }

  async #authenticated(token: string): Promise<Authenticated> {
    const answer = await this.#authenticator.authenticate(token, "");
    if (answer.kind === "refused") throw asAppError(answer, op);
    return answer;
  }
}

/** Section 4.4: an issuer may have said who alone may act for the subject. */
function mayAct(subject: Authenticated, actor: Authenticated): void {
  const { mayAct: allowed } = subject;
  if (allowed === undefined) return;
  const { principal } = actor;
  const named = allowed.sub === principal.subject || allowed.sub === principal.id;
  if (named && (allowed.iss === undefined || allowed.iss === principal.issuer)) return;
  throw new AppError("not-permitted", op, "the subject's issuer does not let this actor act for it");
}
