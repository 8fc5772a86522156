/** Would a configuration's policies load? Every problem of every file, with its position. */

import type { Configuration } from "@sallyport/proto/catalog_model";
import { ValidateResponse } from "@sallyport/proto/policy";
import { compile } from "./cedar/compile.ts";
import { vocabularyOf } from "./state.ts";

const MAX_PROBLEMS = 200;

export function validateConfiguration(configuration: Configuration): ValidateResponse {
  const { set, problems } = compile(configuration.policies, vocabularyOf(configuration));
  return ValidateResponse.fromPartial({ problems: problems.slice(0, MAX_PROBLEMS), policySet: set.digest });
}
