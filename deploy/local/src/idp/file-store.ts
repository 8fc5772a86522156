import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import type { Adapter, AdapterPayload } from "oidc-provider";

interface Entry {
  readonly payload: AdapterPayload;
  /** ms since 1970; 0: never */
  readonly expiresAt: number;
}

const MAX_ENTRIES = 20_000;

/**
 * Where the provider keeps sessions, grants and tokens: memory, written to one file a moment after each change, so that
 * a restart of the local deployment does not sign everybody out. For a laptop, not for production.
 */
export class FileStore {
  readonly #path: string | undefined;
  readonly #entries = new Map<string, Entry>();
  #pending: NodeJS.Timeout | undefined;

  /** Without a path nothing is kept over a restart. */
  constructor(path: string | undefined) {
    this.#path = path;
    if (path === undefined || !existsSync(path)) return;
    const saved = JSON.parse(readFileSync(path, "utf8")) as [string, Entry][];
    for (const [key, entry] of saved) this.#entries.set(key, entry);
    this.#dropExpired();
  }

  adapter = (model: string): Adapter => ({
    upsert: async (id, payload, expiresIn) => {
      const expiresAt = expiresIn !== undefined && expiresIn > 0 ? Date.now() + expiresIn * 1000 : 0;
      this.#set(`${model}:${id}`, { payload: structuredClone(payload), expiresAt });
    },
    find: async (id) => this.#get(`${model}:${id}`),
    findByUserCode: async (userCode) => this.#findBy(model, (payload) => payload.userCode === userCode),
    findByUid: async (uid) => this.#findBy(model, (payload) => payload.uid === uid),
    consume: async (id) => {
      const entry = this.#entries.get(`${model}:${id}`);
      if (entry === undefined) return;
      this.#set(`${model}:${id}`, { ...entry, payload: { ...entry.payload, consumed: Math.floor(Date.now() / 1000) } });
    },
    destroy: async (id) => {
      this.#entries.delete(`${model}:${id}`);
      this.#saveSoon();
    },
    revokeByGrantId: async (grantId) => {
      for (const [key, { payload }] of this.#entries) {
        if (payload.grantId === grantId) this.#entries.delete(key);
      }
      this.#saveSoon();
    },
  });

  /** Writes what is pending. */
  flush(): void {
    clearTimeout(this.#pending);
    this.#pending = undefined;
    if (this.#path === undefined) return;
    this.#dropExpired();
    writeFileSync(`${this.#path}.new`, JSON.stringify([...this.#entries]), { mode: 0o600 });
    renameSync(`${this.#path}.new`, this.#path);
  }

  #get(key: string): AdapterPayload | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || expired(entry)) return undefined;
    return structuredClone(entry.payload);
  }

  #findBy(model: string, matches: (payload: AdapterPayload) => boolean): AdapterPayload | undefined {
    for (const [key, entry] of this.#entries) {
      if (key.startsWith(`${model}:`) && !expired(entry) && matches(entry.payload))
        return structuredClone(entry.payload);
    }
    return undefined;
  }

  #set(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (this.#entries.size > MAX_ENTRIES) this.#dropExpired();
    if (this.#entries.size > MAX_ENTRIES) this.#entries.delete(this.#entries.keys().next().value ?? "");
    this.#saveSoon();
  }

  #dropExpired(): void {
    for (const [key, entry] of this.#entries) if (expired(entry)) this.#entries.delete(key);
  }

  #saveSoon(): void {
    if (this.#path === undefined || this.#pending !== undefined) return;
    this.#pending = setTimeout(() => this.flush(), 50);
  }
}

function expired(entry: Entry): boolean {
  return entry.expiresAt !== 0 && entry.expiresAt <= Date.now();
}
