import { createHash, scryptSync, timingSafeEqual } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { z } from "zod";

const accountSchema = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9._-]{1,64}$/),
    /** Stable subject at this issuer; derived from the name when left out. */
    id: z.string().min(1).max(64).optional(),
    password: z.string().min(1).max(256).optional(),
    /** `scrypt:<salt, base64url>:<32 bytes, base64url>` (N=16384, r=8, p=1), as `hashPassword` writes it. */
    passwordHash: z.string().max(256).optional(),
    groups: z.array(z.string().min(1).max(128)).max(256),
    email: z.string().max(256).optional(),
    /** Says that this account's login counts as multi-factor (`amr: mfa`). */
    mfa: z.boolean().optional(),
    disabled: z.boolean().optional(),
  })
  .refine((account) => (account.password === undefined) !== (account.passwordHash === undefined), {
    message: "needs either password or passwordHash",
  });

const fileSchema = z.strictObject({ accounts: z.array(accountSchema).max(1000) });

export type Account = z.infer<typeof accountSchema>;

/**
 * The provider's people, from a JSON file that may be edited while the provider runs: it is looked at on every use and
 * read again when it has changed. A file that does not parse (saved half-way) leaves the last good one in effect.
 */
export class AccountsFile {
  readonly #path: string;
  readonly #onProblem: (message: string) => void;
  #stamp = "";
  #byName = new Map<string, Account>();

  constructor(path: string, onProblem: (message: string) => void) {
    this.#path = path;
    this.#onProblem = onProblem;
    // The first reading must succeed: a provider without accounts is a mistake in its configuration.
    this.#byName = parse(readFileSync(path, "utf8"));
    this.#stamp = stampOf(path);
  }

  byName(name: string): Account | undefined {
    this.#refresh();
    return this.#byName.get(name);
  }

  /** Undefined too when the account is disabled, so that a refresh of its tokens ends in `invalid_grant`. */
  byId(id: string): Account | undefined {
    this.#refresh();
    const found = [...this.#byName.values()].find((account) => subjectOf(account) === id);
    return found?.disabled === true ? undefined : found;
  }

  /** The account, when name and password are right and it is not disabled. */
  login(name: string, password: string): Account | undefined {
    const account = this.byName(name);
    // A password is compared even for an unknown name, so that the time taken does not tell which names exist.
    const right = passwordMatches(account ?? DECOY, password);
    return right && account !== undefined && account.disabled !== true ? account : undefined;
  }

  #refresh(): void {
    let stamp: string;
    try {
      stamp = stampOf(this.#path);
      if (stamp === this.#stamp) return;
      this.#byName = parse(readFileSync(this.#path, "utf8"));
    } catch (error) {
      this.#onProblem(
        `accounts file not read again: ${error instanceof z.ZodError ? z.prettifyError(error) : "not valid JSON or not readable"}`,
      );
      return;
    }
    this.#stamp = stamp;
  }
}

export function subjectOf(account: Account): string {
  return account.id ?? createHash("sha256").update(`account:${account.name}`).digest("base64url").slice(0, 22);
}

export function hashPassword(password: string, salt: Buffer): string {
  return `scrypt:${salt.toString("base64url")}:${scryptSync(password, salt, 32).toString("base64url")}`;
}

const DECOY: Account = { name: "-", password: "decoy of no account", groups: [] };

function passwordMatches(account: Account, password: string): boolean {
  if (account.passwordHash !== undefined) {
    const [scheme, salt] = account.passwordHash.split(":");
    if (scheme !== "scrypt" || salt === undefined) return false;
    return equal(hashPassword(password, Buffer.from(salt, "base64url")), account.passwordHash);
  }
  return equal(password, account.password ?? "");
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function equal(a: string, b: string): boolean {
  return timingSafeEqual(digest(a), digest(b));
}

function parse(text: string): Map<string, Account> {
  const { accounts } = fileSchema.parse(JSON.parse(text));
  return new Map(accounts.map((account) => [account.name, account]));
}

function stampOf(path: string): string {
  const { mtimeNs, size, ino } = statSync(path, { bigint: true });
  return `${mtimeNs}:${size}:${ino}`;
}
