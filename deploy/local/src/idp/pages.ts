import type { ServerResponse } from "node:http";

/** Text that may stand in an element or a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: Canvas; color: CanvasText; }
main { width: min(22rem, calc(100vw - 2rem)); padding: 2rem; border: 1px solid color-mix(in srgb, CanvasText 18%, Canvas); border-radius: .75rem; }
h1 { font-size: 1.25rem; margin: 0 0 1rem; }
label { display: block; margin: .75rem 0 .25rem; font-size: .9rem; }
input[type=text], input[type=password] { width: 100%; box-sizing: border-box; padding: .5rem .6rem; font: inherit; border-radius: .4rem; border: 1px solid color-mix(in srgb, CanvasText 35%, Canvas); background: Canvas; color: CanvasText; }
button { margin-top: 1.25rem; width: 100%; padding: .6rem; font: inherit; font-weight: 600; border: 0; border-radius: .4rem; background: #2457d6; color: #fff; cursor: pointer; }
button.quiet { background: none; color: inherit; font-weight: 400; margin-top: .5rem; }
p.problem { color: #c62828; margin: .5rem 0; }
p.small, li { font-size: .9rem; }
code { font-size: 1.5rem; letter-spacing: .1em; }
`;

/** One whole page; nothing in it comes from elsewhere. `body` is markup. */
export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${STYLE}</style></head>
<body><main><h1>${escapeHtml(title)}</h1>
${body}
</main></body></html>`;
}

export function loginPage(action: string, problem: string | undefined): string {
  return page(
    "Sign in",
    `${problem === undefined ? "" : `<p class="problem" role="alert">${escapeHtml(problem)}</p>`}
<form method="post" action="${escapeHtml(action)}">
<label for="login">Account</label>
<input type="text" id="login" name="login" autocomplete="username" autocapitalize="none" required autofocus>
<label for="password">Password</label>
<input type="password" id="password" name="password" autocomplete="current-password" required>
<button type="submit">Sign in</button>
</form>
<p class="small">The local identity provider of a Sallyport demonstration.</p>`,
  );
}

const SCOPE_TEXT: Readonly<Record<string, string>> = {
  openid: "who you are",
  profile: "your account name",
  email: "your e-mail address",
  groups: "the groups that you are in",
  offline_access: "to look up your groups again while you are away",
};

export function consentPage(
  action: string,
  abortAction: string,
  client: string,
  account: string,
  scopes: readonly string[],
): string {
  const list = scopes.map((scope) => `<li>${escapeHtml(SCOPE_TEXT[scope] ?? scope)}</li>`).join("");
  return page(
    `Let ${client} in?`,
    `<p>Signed in as <strong>${escapeHtml(account)}</strong>. It asks for:</p><ul>${list}</ul>
<form method="post" action="${escapeHtml(action)}"><button type="submit">Continue</button></form>
<form method="post" action="${escapeHtml(abortAction)}"><button type="submit" class="quiet">Cancel</button></form>`,
  );
}

const HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
} as const;

export function sendPage(response: ServerResponse, status: number, html: string): void {
  response.writeHead(status, { ...HEADERS, "content-length": Buffer.byteLength(html) });
  response.end(html);
}
