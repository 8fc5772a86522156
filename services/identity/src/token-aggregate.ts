import { events, refuse, type Decider, type Decision } from "@sallyport/decider";
import type { Event, TokenIssued } from "@sallyport/proto/event";

/** One token, known by its id; never the token itself. */
export interface TokenState {
  readonly issued: TokenIssued | undefined;
  readonly revoked: "no" | "alone" | "with-descendants";
}

export type TokenCommand =
  | { readonly kind: "issue"; readonly token: TokenIssued }
  | { readonly kind: "revoke"; readonly reason: string; readonly withDescendants: boolean };

export const tokenDecider: Decider<TokenState, TokenCommand> = {
  initial: () => ({ issued: undefined, revoked: "no" }),
  decide,
  evolve,
};

function decide(command: TokenCommand, state: TokenState): Decision {
  switch (command.kind) {
    case "issue":
      if (state.issued !== undefined || state.revoked !== "no") {
        return refuse("already-exists", "this token has been issued already");
      }
      return events({ $case: "tokenIssued", value: command.token });
    case "revoke": {
      if (state.issued === undefined) return refuse("not-found", "there is no such token");
      const reach = command.withDescendants ? "with-descendants" : "alone";
      // A token that was only signed out may still be withdrawn with what came of it.
      if (state.revoked === reach || state.revoked === "with-descendants") return events();
      const { tokenId, principalId } = state.issued;
      const { reason, withDescendants } = command;
      return events({ $case: "tokenRevoked", value: { tokenId, principalId, reason, withDescendants } });
    }
  }
}

function evolve(state: TokenState, { fact }: Event): TokenState {
  switch (fact?.$case) {
    case "tokenIssued":
      return { ...state, issued: fact.value };
    case "tokenRevoked":
      return { ...state, revoked: fact.value.withDescendants ? "with-descendants" : "alone" };
    default:
      return state;
  }
}
