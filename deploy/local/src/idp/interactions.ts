import type { IncomingMessage, ServerResponse } from "node:http";
import type { Provider } from "oidc-provider";
import { subjectOf, type AccountsFile } from "./accounts.ts";
import { consentPage, escapeHtml, loginPage, page, sendPage } from "./pages.ts";

const MAX_FORM_BYTES = 8 * 1024;
const FAILURES_PER_MINUTE = 30;

/** The provider's own pages: login, then consent. `oidc-provider` sends the browser here and takes it back. */
export class Interactions {
  readonly #provider: Provider;
  readonly #accounts: AccountsFile;
  readonly #failures = new Map<string, { count: number; since: number }>();

  constructor(provider: Provider, accounts: AccountsFile) {
    this.#provider = provider;
    this.#accounts = accounts;
  }

  /** Answers `/interaction/…`; false for every other path. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const match = /^\/interaction\/([A-Za-z0-9_-]{1,64})(?:\/(login|confirm|abort))?$/.exec(
      (request.url ?? "").split("?")[0] ?? "",
    );
    if (match === null) return false;
    try {
      await this.#answer(request, response, match[1]!, match[2]);
    } catch (error) {
      const gone = error instanceof Error && error.name === "SessionNotFound";
      const text = gone
        ? "This sign-in has expired or was begun in another browser. Start again."
        : "Something went wrong.";
      if (!response.headersSent) sendPage(response, gone ? 400 : 500, page("Sign in", `<p>${escapeHtml(text)}</p>`));
      else response.destroy();
    }
    return true;
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    uid: string,
    step: string | undefined,
  ): Promise<void> {
    const interaction = await this.#provider.interactionDetails(request, response);
    const base = `/interaction/${uid}`;
    if (interaction.uid !== uid) return sendPage(response, 400, page("Sign in", "<p>Start again.</p>"));
    if (request.method === "GET" && step === undefined) {
      if (interaction.prompt.name === "login") return sendPage(response, 200, loginPage(`${base}/login`, undefined));
      return this.#showConsent(response, base, interaction);
    }
    if (request.method !== "POST") return sendPage(response, 405, page("Sign in", "<p>Start again.</p>"));
    if (step === "login" && interaction.prompt.name === "login") return this.#login(request, response, base);
    if (step === "confirm" && interaction.prompt.name === "consent")
      return this.#consent(request, response, interaction);
    const denied = { error: "access_denied", error_description: "the person cancelled" };
    return this.#provider.interactionFinished(request, response, denied, { mergeWithLastSubmission: false });
  }

  async #login(request: IncomingMessage, response: ServerResponse, base: string): Promise<void> {
    const form = await readForm(request);
    const name = (form.get("login") ?? "").slice(0, 64);
    if (this.#tooManyFailures(name)) {
      return sendPage(response, 429, loginPage(`${base}/login`, "Too many failed tries. Wait a minute."));
    }
    const account = this.#accounts.login(name, (form.get("password") ?? "").slice(0, 256));
    if (account === undefined) {
      this.#noteFailure(name);
      return sendPage(response, 401, loginPage(`${base}/login`, "The account or the password is wrong."));
    }
    const login = { accountId: subjectOf(account), amr: account.mfa === true ? ["pwd", "otp", "mfa"] : ["pwd"] };
    await this.#provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false });
  }

  #showConsent(response: ServerResponse, base: string, interaction: Interaction): void {
    const account = this.#accounts.byId(interaction.session?.accountId ?? "");
    const { scope } = interaction.params;
    const scopes = typeof scope === "string" ? scope.split(" ").filter(Boolean) : [];
    const client = "Sallyport";
    return sendPage(
      response,
      200,
      consentPage(`${base}/confirm`, `${base}/abort`, client, account?.name ?? "?", scopes),
    );
  }

  async #consent(request: IncomingMessage, response: ServerResponse, interaction: Interaction): Promise<void> {
    const accountId = interaction.session?.accountId;
    const clientId = String(interaction.params["client_id"]);
    const existing =
      interaction.grantId === undefined ? undefined : await this.#provider.Grant.find(interaction.grantId);
    const grant = existing ?? new this.#provider.Grant({ accountId, clientId });
    const { missingOIDCScope, missingOIDCClaims } = interaction.prompt.details as {
      missingOIDCScope?: string[];
      missingOIDCClaims?: string[];
    };
    if (missingOIDCScope !== undefined) grant.addOIDCScope(missingOIDCScope.join(" "));
    if (missingOIDCClaims !== undefined) grant.addOIDCClaims(missingOIDCClaims);
    const grantId = await grant.save();
    await this.#provider.interactionFinished(
      request,
      response,
      { consent: { grantId } },
      { mergeWithLastSubmission: true },
    );
  }

  #tooManyFailures(name: string): boolean {
    const seen = this.#failures.get(name);
    return seen !== undefined && seen.count >= FAILURES_PER_MINUTE && Date.now() - seen.since < 60_000;
  }

  #noteFailure(name: string): void {
    if (this.#failures.size > 1000) this.#failures.clear();
    const seen = this.#failures.get(name);
    if (seen === undefined || Date.now() - seen.since >= 60_000)
      this.#failures.set(name, { count: 1, since: Date.now() });
    else seen.count += 1;
  }
}

type Interaction = Awaited<ReturnType<Provider["interactionDetails"]>>;

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_FORM_BYTES) throw new Error("form too large");
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString("utf8"));
}
