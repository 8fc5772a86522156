import type { Api } from "@sallyport/cli/api";
import type { Profile } from "@sallyport/cli/home";
import type { Stack } from "../stack.ts";
import type { Log, Row } from "./log.ts";

/** What the steps of the story play with. */
export interface Scene {
  readonly stack: Stack;
  readonly api: Api;
  /** Of those who are not offboarded. */
  readonly profiles: Map<string, Profile>;
  /** As `security`. */
  readonly log: Log;
  /** The contractor's personal token that the nightly job carries. */
  nightlyToken: string;
  readonly startedAt: Date;
}

/** One step: what it is about, and its play. A step that comes out differently than told throws. */
export interface Step {
  readonly title: string;
  play(scene: Scene, tell: Tell): Promise<void>;
}

/** Prints for the audience. `rows` are the log's own. */
export interface Tell {
  does(text: string): void;
  shows(text: string): void;
  rows(rows: readonly Row[]): void;
}

export function profileOf(scene: Scene, name: string): Profile {
  const profile = scene.profiles.get(name);
  if (profile === undefined) throw new Error(`the story has no profile ${name}`);
  return profile;
}

/** A turn of the story that did not come out as told. */
export function expectThat(condition: boolean, told: string, seen?: unknown): asserts condition {
  if (condition) return;
  const detail = seen === undefined ? "" : `\nseen: ${typeof seen === "string" ? seen : JSON.stringify(seen, null, 2)}`;
  throw new Error(`not as told: ${told}${detail}`);
}
