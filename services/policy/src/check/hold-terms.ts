/** What a policy that holds says, for those who are to lift it. */

import { Hold } from "@sallyport/proto/verdict";
import type { LoadedSet } from "../cedar/compile.ts";
import { held } from "./wording.ts";

export function holdsOf(ids: readonly string[], set: LoadedSet): Hold[] {
  return ids.map((id) => {
    const terms = set.policies.get(id)?.terms;
    return {
      policyId: id,
      group: terms?.hold?.group ?? "",
      quorum: terms?.hold?.quorum ?? 1,
      withinSeconds: terms?.hold?.withinSeconds ?? 0,
      message: terms?.message || held([id], set),
      windowSeconds: terms?.hold?.windowSeconds,
      breakGlassSeconds: terms?.hold?.breakGlassSeconds,
    };
  });
}
