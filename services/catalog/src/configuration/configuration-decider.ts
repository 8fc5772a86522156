import { Configuration } from "@sallyport/proto/catalog_model";
import { type Decider, events, refuse } from "@sallyport/decider";
import { changeLine, changesBetween } from "./changes.ts";
import { configurationDigest, planDigest } from "./digest.ts";

export interface ConfigurationState {
  configuration: Configuration;
  /** of what is in force; empty: nothing was ever applied */
  digest: string;
}

export interface ApplyConfiguration {
  configuration: Configuration;
  /** of the plan that was looked at; empty: whatever is in force */
  expectedPlan: string;
  /** only where nothing was ever applied */
  onlyFirst: boolean;
}

/** The aggregate `configuration/main`: everything that people configure, replaced as a whole. */
export const configurationDecider: Decider<ConfigurationState, ApplyConfiguration> = {
  initial: () => ({ configuration: Configuration.fromPartial({}), digest: "" }),
  decide: ({ configuration, expectedPlan, onlyFirst }, state) => {
    const digest = configurationDigest(configuration);
    if (expectedPlan !== "" && expectedPlan !== planDigest(state.digest, digest))
      return refuse("conflict", "the configuration, or these files, have changed since the plan was made: plan again");
    if (digest === state.digest || (onlyFirst && state.digest !== "")) return events();
    const changes = changesBetween(state.configuration, configuration).map(changeLine);
    return events({ $case: "configurationApplied", value: { configuration, digest, changes } });
  },
  evolve: (state, event) => {
    if (event.fact?.$case !== "configurationApplied") return state;
    const { configuration, digest } = event.fact.value;
    return { configuration: configuration ?? state.configuration, digest };
  },
};
