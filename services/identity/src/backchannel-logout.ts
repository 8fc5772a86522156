import type { JWTPayload } from "jose";
import type { Directory } from "./directory.ts";
import type { Provider } from "./provider.ts";
import type { Revoker } from "./revoker.ts";

const EVENT = "http://schemas.openid.net/event/backchannel-logout";
const MAX_SEEN = 10_000;
const KEEP_SEEN_MS = 10 * 60_000;

export type LogoutOutcome = { readonly kind: "done" } | { readonly kind: "refused"; readonly why: string };

/** The provider tells that a session has ended (OpenID Connect Back-Channel Logout 1.0). */
export class BackchannelLogout {
  readonly #provider: Provider;
  readonly #directory: Directory;
  readonly #revoker: Revoker;
  readonly #now: () => number;
  readonly #seen = new Map<string, number>();

  constructor(parts: { provider: Provider; directory: Directory; revoker: Revoker; now: () => number }) {
    this.#provider = parts.provider;
    this.#directory = parts.directory;
    this.#revoker = parts.revoker;
    this.#now = parts.now;
  }

  async handle(logoutToken: string): Promise<LogoutOutcome> {
    let payload: JWTPayload;
    try {
      payload = await this.#provider.verifyLogoutToken(logoutToken, new Date(this.#now()));
    } catch {
      return refuse("the logout token is not valid");
    }
    const { sub = "", jti = "", events, nonce } = payload;
    const sid = typeof payload["sid"] === "string" ? payload["sid"] : "";
    // Section 2.6: an ID token must not pass for a logout token.
    if (!isEvent(events) || nonce !== undefined) return refuse("this is not a logout token");
    if (sub === "" && sid === "") return refuse("the logout token names neither a subject nor a session");
    if (this.#isRepeated(jti)) return refuse("this logout token was presented before");
    const ids = this.#directory.principalsOfSession(payload.iss!, sub, sid);
    await Promise.all(ids.map((id) => this.#revoker.providerSession(id, sid)));
    // Only now: a token that could not be acted on may come again.
    this.#seen.set(jti, this.#now());
    return { kind: "done" };
  }

  #isRepeated(jti: string): boolean {
    const now = this.#now();
    for (const [known, at] of this.#seen) {
      if (this.#seen.size <= MAX_SEEN && now - at < KEEP_SEEN_MS) break;
      this.#seen.delete(known);
    }
    return this.#seen.has(jti);
  }
}

function isEvent(events: unknown): boolean {
  if (typeof events !== "object" || events === null) return false;
  const event = (events as Record<string, unknown>)[EVENT];
  return typeof event === "object" && event !== null;
}

function refuse(why: string): LogoutOutcome {
  return { kind: "refused", why };
}
