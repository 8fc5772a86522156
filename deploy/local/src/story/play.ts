import { bearer, call, connectApi } from "@sallyport/cli/api";
import type { Profile } from "@sallyport/cli/home";
import { AppError } from "@sallyport/runtime";
import { deploymentOf, prepareProfile } from "../profiles.ts";
import type { Stack } from "../stack.ts";
import { openLog } from "./log.ts";
import { profileOf, type Scene } from "./scene.ts";
import { STEPS } from "./steps.ts";
import { createTell } from "./tell.ts";

/**
 * Plays the story on the running gateway. Returns the titles of the steps that did not come out as told. Aborted, it
 * says nothing more and begins no further step.
 */
export async function playStory(
  stack: Stack,
  profiles: Map<string, Profile>,
  out: NodeJS.WriteStream,
  signal: AbortSignal,
): Promise<string[]> {
  const api = connectApi(deploymentOf(stack));
  const security = profiles.get("security");
  if (security === undefined) throw new AppError("internal", "story", "There is no profile for security.");
  const scene: Scene = {
    stack,
    api,
    profiles,
    log: openLog(api, security),
    nightlyToken: "",
    startedAt: new Date(),
  };
  const failed: string[] = [];
  try {
    await bringContractorBack(scene);
    scene.nightlyToken = await createNightlyToken(scene);
    for (const [index, step] of STEPS.entries()) {
      if (signal.aborted) break;
      const tell = createTell(out, signal);
      tell.title(`${index + 1}. ${step.title}`);
      try {
        await step.play(scene, tell);
      } catch (error) {
        if (signal.aborted) break;
        failed.push(step.title);
        tell.failed((error as Error).message);
      }
    }
  } finally {
    api.close();
  }
  return failed;
}

/** An earlier play of the story has offboarded the contractor: it begins with him at work again. */
async function bringContractorBack(scene: Scene): Promise<void> {
  if (scene.profiles.has("contractor")) return;
  const { access } = scene.api;
  const request = { principalId: "user:contractor", reason: "the story begins again" };
  await call(access, access.reinstate, request, bearer(profileOf(scene, "security").token));
  const account = scene.stack.accounts.find(({ name }) => name === "contractor")!;
  scene.profiles.set("contractor", await prepareProfile(scene.stack, scene.api, account));
}

/** Before the story begins, the contractor gave the nightly job a token of his own. */
async function createNightlyToken(scene: Scene): Promise<string> {
  const { access } = scene.api;
  const request = { label: "nightly-export", ttlSeconds: 30 * 86_400, actor: "workload:nightly-export" };
  const answer = await call(access, access.createToken, request, bearer(profileOf(scene, "contractor").token));
  if (answer.token === undefined) throw new AppError("internal", "story", "The gateway issued no token.");
  return answer.token.token;
}
