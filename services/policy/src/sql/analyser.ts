/**
 * Outlines of texts, kept by text. Small texts are understood at once, in this thread; large ones in a worker. What is
 * kept is bounded by its size, so that no session can fill the memory.
 */

import type { Understanding } from "./outline.ts";
import { loadParser } from "./parser.ts";
import { understand } from "./understand.ts";
import { WorkerPool } from "./worker-pool.ts";
import type { PoolOptions } from "./worker-pool.ts";

export interface AnalyserOptions extends PoolOptions {
  /** texts above it are refused, bytes */
  maxTextBytes: number;
  /** texts up to it are tried in this thread, bytes */
  inlineBytes: number;
  /** and if they have no more tokens than this: a token is at most one level of nesting, or some */
  inlineTokens: number;
  /** characters of texts whose outlines are kept */
  keptCharacters: number;
}

export const DEFAULTS: AnalyserOptions = {
  maxTextBytes: 1_048_576,
  inlineBytes: 16_384,
  inlineTokens: 2_000,
  keptCharacters: 16 * 1_048_576,
  threads: 1,
  deadlineMs: 3_000,
  maxWaiting: 64,
  maxWaitingPerSession: 8,
};

/** A text of its own makes an entry about this much heavier than its characters. */
const ENTRY_CHARACTERS = 512;
/** A tree is about this much heavier than its text; that of a large text is without its constants. */
const TREE_CHARACTERS = 8;
const LARGEST_TREE = 65_536;

export class Analyser {
  readonly #options: AnalyserOptions;
  readonly #pool: WorkerPool;
  readonly #kept = new Map<string, Understanding>();
  #size = 0;
  /** this thread's parser ran out of stack once: it is not used again */
  #spent = false;

  private constructor(options: AnalyserOptions) {
    this.#options = options;
    this.#pool = new WorkerPool(options);
  }

  static async open(options: Partial<AnalyserOptions> = {}): Promise<Analyser> {
    await loadParser();
    return new Analyser({ ...DEFAULTS, ...options });
  }

  /** At once where that is possible. A refusal that comes from a lack of time or room is not kept. */
  outline(session: string, text: string): Understanding | Promise<Understanding> {
    const kept = this.#kept.get(text);
    if (kept !== undefined) {
      this.#kept.delete(text);
      this.#kept.set(text, kept);
      return kept;
    }
    const { maxTextBytes, inlineBytes, inlineTokens } = this.#options;
    const bytes = text.length > maxTextBytes ? text.length : Buffer.byteLength(text);
    if (bytes > maxTextBytes) return { refused: `it is longer than ${maxTextBytes} bytes` };
    if (bytes <= inlineBytes && !this.#spent) {
      const attempt = understand(text, inlineTokens);
      if (attempt === "exhausted") this.#spent = true;
      else if (attempt !== "too-large") return this.#keep(text, attempt);
    }
    return this.#pool.run(session, text).then((understanding) => {
      return "refused" in understanding ? understanding : this.#keep(text, understanding);
    });
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }

  #keep(text: string, understanding: Understanding): Understanding {
    const { keptCharacters } = this.#options;
    const weight = weigh(text, understanding);
    if (weight > keptCharacters / 8) return understanding;
    if (!this.#kept.has(text)) this.#size += weight;
    this.#kept.set(text, understanding);
    for (const [oldest, of] of this.#kept) {
      if (this.#size <= keptCharacters) break;
      this.#kept.delete(oldest);
      this.#size -= weigh(oldest, of);
    }
    return understanding;
  }
}

function weigh(text: string, understanding: Understanding): number {
  if ("refused" in understanding) return text.length + ENTRY_CHARACTERS;
  const { relations, columns, functions, erasable, named, tree } = understanding;
  const inner = named.reduce((sum, n) => sum + n.text.length, 0);
  const entries = relations.length + columns.length + functions.length;
  const trees = tree === undefined ? 0 : TREE_CHARACTERS * Math.min(text.length, LARGEST_TREE);
  const own = text.length + understanding.normalized.length + inner + entries * 64 + erasable.length * 8;
  return own + trees + ENTRY_CHARACTERS;
}
