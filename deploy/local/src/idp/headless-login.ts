import { readFileSync } from "node:fs";
import { Agent, fetch, type Response } from "undici";

/**
 * A login as a browser does it: follows redirects, keeps cookies, fills in and submits the provider's own forms. Nothing
 * in the provider knows of it. The launcher prepares the demo profiles with it, and tests sign in through it.
 */
export interface Visitor {
  readonly account: string;
  readonly password: string;
  /** PEM file that the provider's certificate is checked against */
  readonly ca: string;
}

const MAX_STEPS = 20;
const MAX_PAGE_BYTES = 256 * 1024;

/** Signs in at an authorization URL; returns the whole callback URL (`http://127.0.0.1:…/callback?code=…`), not visited. */
export async function headlessLogin(authorizationUrl: string, visitor: Visitor): Promise<string> {
  return withBrowser(visitor, (browser) => browser.authorize(authorizationUrl));
}

/** Enters the user code of a device login (RFC 8628) and signs in; returns when the provider says that it is done. */
export async function headlessDeviceLogin(verificationUriComplete: string, visitor: Visitor): Promise<void> {
  await withBrowser(visitor, async (browser) => {
    const end = await browser.walk(verificationUriComplete, () => false);
    if (end.kind !== "page" || end.status !== 200 || end.title !== "Signed in") {
      throw new Error(
        `the device login of ${visitor.account} ended at: ${end.kind === "page" ? end.title : "another site"}`,
      );
    }
  });
}

/** One browser profile, so that a test may log in and then sign out at the provider (`/session/end`). */
export async function withBrowser<T>(visitor: Visitor, use: (browser: Browser) => Promise<T>): Promise<T> {
  const agent = new Agent({ connect: { ca: readFileSync(visitor.ca, "utf8") }, maxResponseSize: MAX_PAGE_BYTES });
  try {
    return await use(new Browser(visitor, agent));
  } finally {
    await agent.close();
  }
}

type End = { kind: "left"; url: string } | { kind: "page"; status: number; title: string };

export class Browser {
  readonly #visitor: Visitor;
  readonly #agent: Agent;
  readonly #cookies = new Map<string, { value: string; path: string }>();

  constructor(visitor: Visitor, agent: Agent) {
    this.#visitor = visitor;
    this.#agent = agent;
  }

  /** As `headlessLogin`; the session at the provider stays in this browser. */
  async authorize(authorizationUrl: string): Promise<string> {
    const callback = new URL(authorizationUrl).searchParams.get("redirect_uri");
    if (callback === null) throw new Error("the authorization URL names no redirect_uri");
    const end = await this.walk(authorizationUrl, (url) => url.startsWith(callback));
    if (end.kind === "left") return end.url;
    throw new Error(`the login of ${this.#visitor.account} ended on a page: ${end.title}`);
  }

  /** Goes on until `left` says that a redirect leads away, or a page asks nothing more. */
  async walk(start: string, left: (url: string) => boolean): Promise<End> {
    const origin = new URL(start).origin;
    let next: { url: string; form?: URLSearchParams } = { url: start };
    let submittedPassword = false;
    for (let step = 0; step < MAX_STEPS; step += 1) {
      const response = await this.#request(next.url, next.form);
      const location = response.headers.get("location");
      if (response.status >= 300 && response.status < 400 && location !== null) {
        const url = new URL(location, next.url).href;
        await response.body?.cancel();
        if (left(url)) return { kind: "left", url };
        if (new URL(url).origin !== origin) throw new Error("redirected to another site");
        next = { url };
        continue;
      }
      const html = await response.text();
      const form = firstForm(html);
      const title = /<title>([^<]*)<\/title>/.exec(html)?.[1] ?? "";
      const asksPassword = form?.fields.has("password") === true;
      if (form === undefined || response.status >= 400 || (asksPassword && submittedPassword)) {
        return { kind: "page", status: response.status, title };
      }
      if (asksPassword) {
        form.fields.set("login", this.#visitor.account);
        form.fields.set("password", this.#visitor.password);
        submittedPassword = true;
      }
      next = { url: new URL(form.action, next.url).href, form: form.fields };
    }
    throw new Error("the provider's pages lead nowhere");
  }

  async #request(url: string, form: URLSearchParams | undefined): Promise<Response> {
    const { pathname } = new URL(url);
    const cookies = [...this.#cookies].filter(([, { path }]) => pathname.startsWith(path));
    const response = await fetch(url, {
      method: form === undefined ? "GET" : "POST",
      redirect: "manual",
      dispatcher: this.#agent,
      headers: {
        accept: "text/html",
        ...(cookies.length === 0 ? {} : { cookie: cookies.map(([name, { value }]) => `${name}=${value}`).join("; ") }),
        ...(form === undefined ? {} : { "content-type": "application/x-www-form-urlencoded" }),
      },
      ...(form === undefined ? {} : { body: form.toString() }),
      signal: AbortSignal.timeout(10_000),
    });
    for (const line of response.headers.getSetCookie()) this.#keep(line);
    return response;
  }

  #keep(line: string): void {
    const [pair = "", ...attributes] = line.split(";").map((part) => part.trim());
    const at = pair.indexOf("=");
    const name = pair.slice(0, at);
    const attribute = (wanted: string): string | undefined =>
      attributes.find((text) => text.toLowerCase().startsWith(`${wanted}=`))?.slice(wanted.length + 1);
    const expires = attribute("expires");
    const value = pair.slice(at + 1);
    if (value === "" || (expires !== undefined && Date.parse(expires) <= Date.now())) this.#cookies.delete(name);
    else this.#cookies.set(name, { value, path: attribute("path") ?? "/" });
  }
}

/**
 * The first form of a page: where it goes, its hidden and filled-in fields, and the first named submit button that
 * belongs to it (the first button is the one that goes on).
 */
function firstForm(html: string): { action: string; fields: URLSearchParams } | undefined {
  const match = /<form\b([^>]*)>([\s\S]*?)<\/form>/i.exec(html);
  if (match === null) return undefined;
  const attributes = attributesOf(match[1]!);
  const fields = new URLSearchParams();
  for (const [, text] of match[2]!.matchAll(/<input\b([^>]*)>/gi)) {
    const input = attributesOf(text!);
    const name = input.get("name");
    if (name !== undefined) fields.set(name, input.get("value") ?? "");
  }
  const id = attributes.get("id");
  for (const [, text] of html.matchAll(/<button\b([^>]*)>/gi)) {
    const button = attributesOf(text!);
    if (id === undefined || button.get("form") !== id) continue;
    const name = button.get("name");
    if (name !== undefined) fields.set(name, button.get("value") ?? "");
    break;
  }
  return { action: attributes.get("action") ?? "", fields };
}

function attributesOf(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const [, name, quoted] of text.matchAll(/([a-z-]+)="([^"]*)"/gi))
    found.set(name!.toLowerCase(), unescapeHtml(quoted!));
  return found;
}

function unescapeHtml(text: string): string {
  return text
    .replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)))
    .replaceAll("&quot;", '"')
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&amp;", "&");
}
