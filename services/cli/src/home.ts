import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { AppError } from "@sallyport/runtime";
import { whyUnreadable } from "./file-problem.ts";

/** Where a deployment answers. Written by `npm start`, or handed out by whoever runs the gateway. */
export interface Deployment {
  readonly name: string;
  /** PEM file of the authority that signed the gateway's certificates. */
  readonly ca: string;
  readonly identity: string;
  readonly catalog: string;
  readonly approval: string;
  readonly audit: string;
  /** `host:port` that PostgreSQL clients connect to. */
  readonly postgres: string;
}

/** A signed-in account. The token is a bearer secret: the file is for its owner alone. */
export interface Profile {
  readonly name: string;
  readonly principal: string;
  readonly user: string;
  readonly token: string;
  readonly tokenId: string;
  readonly expiresAtMs: number;
}

/**
 * The CLI's folder: SALLYPORT_HOME, else the `.sallyport` of the project that one stands in (the embedded default),
 * else `~/.config/sallyport`.
 */
export function homeFolder(env: NodeJS.ProcessEnv = process.env, cwd: string = process.cwd()): string {
  const named = env["SALLYPORT_HOME"];
  if (named !== undefined && named !== "") return resolve(named);
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    const candidate = join(folder, ".sallyport");
    if (existsSync(join(candidate, "deployment.json"))) return candidate;
    if (folder === dirname(folder)) break;
  }
  return join(env["XDG_CONFIG_HOME"] ?? join(homedir(), ".config"), "sallyport");
}

export class Home {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  deployment(): Deployment {
    const path = join(this.folder, "deployment.json");
    const value = readJson(path);
    if (value === undefined) {
      throw new AppError(
        "failed-precondition",
        "cli.deployment",
        `No deployment is known: ${path} is missing. Start one with \`npm start\`, or put the file there that your gateway's operators hand out (SALLYPORT_HOME names another folder).`,
      );
    }
    const deployment = value as Partial<Deployment>;
    for (const key of ["name", "ca", "identity", "catalog", "approval", "audit", "postgres"] as const) {
      if (typeof deployment[key] !== "string") {
        throw new AppError("invalid-input", "cli.deployment", `${path}: \`${key}\` is missing or not a text.`);
      }
    }
    return { ...(deployment as Deployment), ca: resolve(this.folder, deployment.ca!) };
  }

  saveDeployment(deployment: Deployment): void {
    writePrivate(join(this.folder, "deployment.json"), deployment);
  }

  profileNames(): string[] {
    try {
      return readdirSync(join(this.folder, "profiles"))
        .filter((file) => file.endsWith(".json"))
        .map((file) => file.slice(0, -".json".length))
        .toSorted();
    } catch {
      return [];
    }
  }

  /** The profile of that name; without a name the current one, or the only one. */
  profile(name: string | undefined): Profile {
    const names = this.profileNames();
    const chosen = name ?? this.#current() ?? (names.length === 1 ? names[0] : undefined);
    if (chosen === undefined) {
      const hint =
        names.length === 0 ? "Sign in with `sallyport login`." : `Name one with --profile: ${names.join(", ")}.`;
      throw new AppError("unauthenticated", "cli.profile", `No profile is chosen. ${hint}`);
    }
    const profile = readJson(this.#path(chosen)) as Profile | undefined;
    if (profile === undefined) {
      const known = names.length === 0 ? "" : ` Known: ${names.join(", ")}.`;
      throw new AppError(
        "unauthenticated",
        "cli.profile",
        `There is no profile "${chosen}".${known} Sign in with \`sallyport login --profile ${chosen}\`.`,
      );
    }
    if (profile.expiresAtMs <= Date.now()) {
      throw new AppError(
        "unauthenticated",
        "cli.profile",
        `The login of profile "${chosen}" ended at ${new Date(profile.expiresAtMs).toISOString()}. Sign in again with \`sallyport login --profile ${chosen}\`.`,
      );
    }
    return profile;
  }

  saveProfile(profile: Profile, options: { makeCurrent: boolean }): void {
    writePrivate(this.#path(profile.name), profile);
    if (options.makeCurrent) writePrivate(join(this.folder, "current-profile.json"), profile.name);
  }

  removeProfile(name: string): void {
    rmSync(this.#path(name), { force: true });
  }

  #current(): string | undefined {
    const value = readJson(join(this.folder, "current-profile.json"));
    return typeof value === "string" ? value : undefined;
  }

  #path(name: string): string {
    if (!/^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/.test(name)) {
      throw new AppError(
        "invalid-input",
        "cli.profile",
        `"${name}" cannot name a profile: letters, digits and . _ @ - are possible, 64 at most.`,
      );
    }
    return join(this.folder, "profiles", `${name}.json`);
  }
}

function readJson(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new AppError("failed-precondition", "cli.home", `${path} cannot be read: ${whyUnreadable(cause)}.`, {
      cause,
    });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AppError("invalid-input", "cli.home", `${path} is not valid JSON. Remove it and sign in again.`, {
      cause,
    });
  }
}

/** Written beside and renamed, so that a reader never sees half a file. */
function writePrivate(path: string, value: unknown): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, JSON.stringify(value, null, 2) + "\n", { mode: 0o600 });
  renameSync(temporary, path);
}
