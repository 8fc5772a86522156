import type { Command } from "commander";
import { PrincipalKind, TokenKind, type Principal } from "@sallyport/proto/principal";
import { AppError } from "@sallyport/runtime";
import { call } from "../api.ts";
import type { Run } from "../program.ts";
import { when } from "../output.ts";
import { parseDuration } from "../duration.ts";
import { loginWithBrowser, loginWithDevice, openBrowser } from "../session-login.ts";

/** login, logout, whoami, token, revoke: who one is at the gateway. */
export function addAccessCommands(program: Command, run: Run): void {
  program
    .command("login")
    .description("Sign in with your organisation's identity provider.")
    .option("--device", "show a code to enter elsewhere, for terminals without a browser")
    .option("--no-browser", "only print the address")
    .action(
      run(async (context, options: { device?: boolean; browser: boolean }) => {
        const name = context.profileName ?? "default";
        const profile =
          options.device === true
            ? await loginWithDevice(context.api, name, (prompt) => {
                context.print.say(`Open ${prompt.verificationUri} and enter the code ${prompt.userCode}`);
                context.print.say(`(or open ${prompt.verificationUriComplete})`);
              })
            : await loginWithBrowser(context.api, name, async (url) => {
                context.print.say(`Sign in at:\n  ${url}`);
                if (options.browser) openBrowser(url);
              });
        context.home.saveProfile(profile, { makeCurrent: true });
        context.print.say(`Signed in as ${profile.principal} until ${when(profile.expiresAtMs)} UTC.`);
      }),
    );

  program
    .command("logout")
    .description("Withdraw this profile's access token and forget it.")
    .action(
      run(async (context) => {
        const { name } = context.profile;
        await call(context.api.access, context.api.access.logout, {}, context.as);
        context.home.removeProfile(name);
        context.print.say(`Signed out of "${name}". Sessions that the token opened end within a second.`);
      }),
    );

  program
    .command("whoami")
    .description("Show the principal, groups and token that the gateway sees.")
    .action(
      run(async (context) => {
        const { principal } = await call(context.api.access, context.api.access.whoAmI, {}, context.as);
        if (principal === undefined) throw new AppError("internal", "cli.whoami", "The gateway's answer was empty.");
        context.print.record(describe(principal));
      }),
    );

  const token = program
    .command("token")
    .description("Print this profile's access token (a bearer secret), or manage personal tokens.")
    .action(run(async (context) => context.print.line(context.profile.token)));

  token
    .command("create")
    .description("Make a personal token for a CI job. It is shown once.")
    .requiredOption("--label <text>", "what it is for")
    .requiredOption("--ttl <duration>", "how long it works: 30m, 8h, 90d")
    .option("--actor <workload>", "the workload that will carry it, kept in the record: workload:nightly-export")
    .action(
      run(async (context, options: { label: string; ttl: string; actor?: string }) => {
        const request = { label: options.label, ttlSeconds: parseDuration(options.ttl), actor: options.actor ?? "" };
        const answer = await call(context.api.access, context.api.access.createToken, request, context.as);
        if (answer.token === undefined) throw new AppError("internal", "cli.token", "The gateway's answer was empty.");
        if (context.print.format !== "table") {
          context.print.record({ ...answer.token });
          return;
        }
        context.print.line(answer.token.token);
        context.print.say(
          `Token ${answer.token.tokenId}, valid until ${when(answer.token.expiresAtMs)} UTC. It is not shown again.`,
        );
      }),
    );

  token
    .command("list")
    .description("List tokens: your own, or with --principal somebody else's.")
    .option("--principal <id>", "for example user:contractor")
    .action(
      run(async (context, options: { principal?: string }) => {
        const request = { principalId: options.principal ?? "" };
        const { tokens } = await call(context.api.access, context.api.access.listTokens, request, context.as);
        context.print.rows(
          ["token", "kind", "label", "principal", "actors", "issued", "expires", "revoked"],
          tokens.map((one) => [
            one.tokenId,
            tokenKind(one.kind),
            one.label,
            one.principalId,
            one.actors.map((actor) => actor.id),
            when(one.issuedAtMs),
            when(one.expiresAtMs),
            when(one.revokedAtMs),
          ]),
        );
      }),
    );

  program
    .command("revoke")
    .description("Withdraw a token, or a principal with everything it created. Live sessions end within a second.")
    .option("--principal <id>", "for example user:contractor")
    .option("--token <id>", "a token's id, as `token list` shows it")
    .option("--reason <text>", "why; recorded", "")
    .option("--force", "also a principal that nobody has seen yet: its first login is refused")
    .action(
      run(async (context, options: { principal?: string; token?: string; reason: string; force?: boolean }) => {
        if ((options.principal === undefined) === (options.token === undefined)) {
          throw new AppError("invalid-input", "cli.revoke", "Name either --principal or --token.");
        }
        const what =
          options.principal === undefined
            ? ({ $case: "tokenId", value: options.token! } as const)
            : ({ $case: "principalId", value: options.principal } as const);
        const request = { what, reason: options.reason, inAdvance: options.force === true };
        const { tokenIds } = await call(context.api.access, context.api.access.revoke, request, context.as).catch(
          (error: unknown) => {
            throw withWayOut(error, options);
          },
        );
        context.print.rows(
          ["revoked"],
          tokenIds.map((id) => [id]),
        );
        const tokens = `${tokenIds.length} live token${tokenIds.length === 1 ? "" : "s"}`;
        context.print.say(
          options.principal === undefined
            ? "Withdrawn, with every token that was made with it. Their sessions end within a second."
            : `${options.principal} is withdrawn, with ${tokens}, and cannot sign in until \`sallyport reinstate\`.`,
        );
      }),
    );

  addReinstate(program, run);
}

/** A name that is not known is most often a mistyped one: nobody must believe that it worked. */
function withWayOut(error: unknown, { principal }: { principal?: string }): unknown {
  if (!(error instanceof AppError) || error.code !== "not-found") return error;
  const advice =
    principal === undefined
      ? "`sallyport token list` shows the ids, with --principal somebody else's."
      : "Check the name with `sallyport sessions`; --force withdraws it before its first login.";
  return new AppError(error.code, error.op, `${error.message.replace(/\.?$/, ".")} ${advice}`, { cause: error });
}

function addReinstate(program: Command, run: Run): void {
  program
    .command("reinstate")
    .description("Let an offboarded principal sign in again. What it had created stays withdrawn.")
    .requiredOption("--principal <id>", "for example user:contractor")
    .option("--reason <text>", "why; recorded", "")
    .action(
      run(async (context, options: { principal: string; reason: string }) => {
        const request = { principalId: options.principal, reason: options.reason };
        await call(context.api.access, context.api.access.reinstate, request, context.as);
        context.print.say(`${options.principal} may sign in again.`);
      }),
    );
}

function describe(principal: Principal) {
  return {
    principal: principal.id,
    kind: principalKind(principal.kind),
    groups: principal.groups,
    actors: principal.actors.map((actor) => actor.id),
    issuer: principal.issuer,
    token: principal.tokenId,
    "token kind": tokenKind(principal.tokenKind),
    "token label": principal.tokenLabel,
    "created by": principal.createdBy,
    expires: when(principal.expiresAtMs),
  };
}

function principalKind(kind: PrincipalKind): string {
  switch (kind) {
    case PrincipalKind.PRINCIPAL_KIND_USER:
      return "user";
    case PrincipalKind.PRINCIPAL_KIND_WORKLOAD:
      return "workload";
    case PrincipalKind.PRINCIPAL_KIND_AGENT:
      return "agent";
    default:
      return "unknown";
  }
}

function tokenKind(kind: TokenKind): string {
  switch (kind) {
    case TokenKind.TOKEN_KIND_ACCESS:
      return "access";
    case TokenKind.TOKEN_KIND_PERSONAL:
      return "personal";
    case TokenKind.TOKEN_KIND_WORKLOAD:
      return "workload";
    default:
      return "unknown";
  }
}
