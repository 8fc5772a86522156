import { readFileSync } from "node:fs";
import { resolveSecret } from "@sallyport/runtime";
import { z } from "zod";
import { idpConfigSchema } from "./config.ts";
import { startIdentityProvider } from "./provider.ts";

const say = (line: Record<string, unknown>): void => console.log(JSON.stringify({ service: "idp", ...line }));

const path = process.env["SALLYPORT_CONFIG"];
if (path === undefined) throw new Error("SALLYPORT_CONFIG must name the provider's configuration file (JSON)");
const parsed = idpConfigSchema.safeParse(JSON.parse(readFileSync(path, "utf8")));
if (!parsed.success) {
  say({ level: "fatal", msg: `configuration: ${z.prettifyError(parsed.error)}` });
  process.exit(1);
}
const secret = await resolveSecret(parsed.data.client.secret, "client secret");
const provider = await startIdentityProvider(parsed.data, secret.expose(), {
  onProblem: (message) => say({ level: "warn", msg: message }),
});
say({ level: "info", msg: "ready", issuer: provider.issuer });

let stopping = false;
const stop = (): void => {
  if (stopping) return;
  stopping = true;
  setTimeout(() => process.exit(1), 3_000).unref();
  void provider.close().then(() => process.exit(0));
};
process.on("SIGTERM", stop);
process.on("SIGINT", stop);
if (process.env["SALLYPORT_EXIT_WITH_PARENT"] === "1") {
  // The launcher holds the other end of stdin and never writes: the pipe closes however the launcher dies.
  process.stdin.on("error", stop).on("close", stop).resume();
}
