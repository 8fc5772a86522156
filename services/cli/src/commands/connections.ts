import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Command } from "commander";
import { AppError } from "@sallyport/runtime";
import { call } from "../api.ts";
import type { Context } from "../context.ts";
import { tryLogin } from "../edge-login.ts";
import { startLocalProxy } from "../local-proxy.ts";
import type { Run } from "../program.ts";

/** connections, psql, connect: reaching a target. */
export function addConnectionCommands(program: Command, run: Run): void {
  program
    .command("connections")
    .description("List the connections that you may use.")
    .action(
      run(async (context) => {
        const api = context.api.configuration;
        const { connections } = await call(api, api.listConnections, {}, context.as);
        context.print.rows(
          ["connection", "protocol", "databases", "labels", "description"],
          connections.map((one) => [
            one.name,
            one.protocol,
            one.databases,
            Object.entries(one.labels).map(([key, value]) => `${key}=${value}`),
            one.description,
          ]),
        );
      }),
    );

  program
    .command("psql")
    .description("Open psql on a connection, or run it with your own psql options after `--`.")
    .argument("<connection>", "connection, or connection/database")
    .argument("[options...]", "passed on to psql, for example: -- -c 'SELECT 1'")
    .addHelpText(
      "after",
      "\nEnds with psql's own exit code: 0 done, 1 failed, 2 connection lost or refused, 3 an error with ON_ERROR_STOP.\nA connection that does not exist is told before psql starts: 5.",
    )
    .action(
      run(async (context, connection: string, options: string[]) => {
        await requireConnection(context, connection);
        const child = spawn("psql", [...options, conninfo(context, connection)], {
          stdio: "inherit",
          env: { ...process.env, PGPASSWORD: context.profile.token },
        });
        // Ctrl-C is psql's: it cancels the statement.
        const ignore = (): void => undefined;
        process.on("SIGINT", ignore);
        try {
          const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
          process.exitCode = code ?? (signal === null ? 1 : 130);
        } catch (cause) {
          throw new AppError(
            "failed-precondition",
            "cli.psql",
            "psql cannot be started. Install the PostgreSQL client (apt-get install postgresql-client), or use `sallyport connect`.",
            { cause },
          );
        } finally {
          process.off("SIGINT", ignore);
        }
      }),
    );

  program
    .command("connect")
    .description("Open a local port for any PostgreSQL program and print its address.")
    .argument("<connection>", "connection, or connection/database")
    .option("--port <number>", "local port; 0 chooses one", "0")
    .action(
      run(async (context, connection: string, options: { port: string }) => {
        const port = /^\d{1,5}$/.test(options.port) ? Number(options.port) : Infinity;
        if (port > 65_535) {
          throw new AppError("invalid-input", "cli.connect", `--port ${options.port}: a number up to 65535 is wanted.`);
        }
        await requireConnection(context, connection);
        const proxy = await startLocalProxy({
          deployment: context.deployment,
          profile: context.profile,
          connection,
          port,
          onProblem: (message) => context.print.say(message),
        });
        context.print.line(proxy.dsn);
        context.print.say("The port works until you press Ctrl-C.");
        await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
        await proxy.close();
      }),
    );
}

/**
 * Refuses a connection that one cannot use before anything is started for it. Listed ones pass. Of another, only the
 * edge can say why not (and whether: a policy may look at more than the list does), so a login is tried there.
 */
async function requireConnection(context: Context, connection: string): Promise<void> {
  const api = context.api.configuration;
  const names = await call(api, api.listConnections, {}, context.as, LIST_DEADLINE_MS).then(
    ({ connections }) => connections.map((one) => one.name),
    (): string[] => [],
  );
  const [name] = connection.split("/", 1);
  if (!names.includes(name!)) await tryLogin(context.deployment, context.profile, connection);
}

const LIST_DEADLINE_MS = 5_000;

/** What psql needs beside the password; values are quoted as libpq's connection strings want them. */
function conninfo(context: Context, connection: string): string {
  const { deployment, profile } = context;
  const colon = deployment.postgres.lastIndexOf(":");
  const parts = {
    host: deployment.postgres.slice(0, colon),
    port: deployment.postgres.slice(colon + 1),
    dbname: connection,
    user: profile.user,
    sslmode: "verify-full",
    sslrootcert: deployment.ca,
  };
  return Object.entries(parts)
    .map(([key, value]) => `${key}='${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`)
    .join(" ");
}
