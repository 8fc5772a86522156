import { events, refuse, type Decider, type Decision } from "@sallyport/decider";
import type { Event, PrincipalSeen } from "@sallyport/proto/event";
import type { PrincipalKind } from "@sallyport/proto/principal";
import type { GroupMapping } from "@sallyport/proto/catalog_model";
import { mapGroups, sameGroups } from "./group-mapping.ts";

/** One principal as its own events tell it. Pure; the store guards the order. */
export interface PrincipalState {
  /** the last `principal-seen`; undefined: never logged in (but possibly withdrawn in advance) */
  readonly seen: PrincipalSeen | undefined;
  readonly offboarded: boolean;
  /** a login at the provider stands behind it, or its issuer does; ends with `provider-session-ended` for all sessions */
  readonly standing: boolean;
}

export interface See {
  readonly kind: "see";
  readonly principalId: string;
  readonly principalKind: PrincipalKind;
  readonly issuer: string;
  /** empty for workloads whose name comes from another claim: then the issuer alone owns the name */
  readonly subject: string;
  readonly groups: readonly string[];
  readonly providerGroups: readonly string[];
  readonly authTimeMs: number;
  readonly mfa: boolean;
  readonly sealedRefreshToken: Buffer;
  readonly providerSessionId: string;
}

export type PrincipalCommand =
  | See
  | {
      readonly kind: "map-groups";
      readonly principalId: string;
      /** what the provider said when it was asked (ms since 1970); undefined: its last word stays, only the mapping is new */
      readonly read: { readonly groups: readonly string[]; readonly askedAtMs: number } | undefined;
      readonly mappings: readonly GroupMapping[];
    }
  | { readonly kind: "rotate-refresh-token"; readonly replaces: Buffer; readonly sealedRefreshToken: Buffer }
  | {
      readonly kind: "end-provider-session";
      readonly principalId: string;
      readonly providerSessionId: string;
      readonly tokenIds: readonly string[];
      readonly unlessRefreshTokenIsNot?: Buffer;
    }
  | {
      readonly kind: "offboard";
      readonly principalId: string;
      readonly reason: string;
      readonly tokenIds: readonly string[];
      /** also when it was never seen; else that is a slip of the pen, which must not pass for a withdrawal */
      readonly inAdvance: boolean;
    }
  | { readonly kind: "reinstate"; readonly principalId: string; readonly reason: string };

export const OFFBOARDED = "this principal has been withdrawn";

export const principalDecider: Decider<PrincipalState, PrincipalCommand> = {
  initial: () => ({ seen: undefined, offboarded: false, standing: false }),
  decide,
  evolve,
};

function decide(command: PrincipalCommand, state: PrincipalState): Decision {
  switch (command.kind) {
    case "see":
      return see(command, state);
    case "map-groups": {
      if (state.seen === undefined || state.offboarded) return events();
      const { principalId, mappings, read } = command;
      const providerGroups = read?.groups ?? state.seen.providerGroups;
      const groups = mapGroups(mappings, state.seen.issuer, providerGroups);
      if (sameGroups(state.seen.groups, groups) && sameGroups(state.seen.providerGroups, providerGroups))
        return events();
      return events({
        $case: "principalGroupsChanged",
        value: { principalId, groups, providerGroups: [...providerGroups], verifiedAtMs: read?.askedAtMs ?? 0 },
      });
    }
    case "rotate-refresh-token": {
      // Another login or another process may have brought a newer one meanwhile: that one stays.
      if (state.seen === undefined || !command.replaces.equals(state.seen.sealedRefreshToken)) return events();
      return events({
        $case: "principalSeen",
        value: { ...state.seen, sealedRefreshToken: command.sealedRefreshToken },
      });
    }
    case "end-provider-session": {
      const { principalId, providerSessionId, tokenIds, unlessRefreshTokenIsNot: held } = command;
      if (held !== undefined && !(state.seen?.sealedRefreshToken.equals(held) ?? false)) return events();
      if (providerSessionId === "" && !state.standing) return events();
      return events({
        $case: "providerSessionEnded",
        value: { principalId, providerSessionId, tokenIds: [...tokenIds] },
      });
    }
    case "offboard": {
      if (state.offboarded) return events();
      const { principalId, reason, tokenIds, inAdvance } = command;
      if (state.seen === undefined && !inAdvance) {
        return refuse("not-found", `nobody named ${principalId} has been seen here; nothing was withdrawn`);
      }
      return events({ $case: "principalOffboarded", value: { principalId, reason, tokenIds: [...tokenIds] } });
    }
    case "reinstate": {
      if (!state.offboarded) return events();
      const { principalId, reason } = command;
      return events({ $case: "principalReinstated", value: { principalId, reason } });
    }
  }
}

function see(command: See, state: PrincipalState): Decision {
  if (state.offboarded) return refuse("unauthenticated", OFFBOARDED);
  const { seen } = state;
  const sameOwner = seen === undefined || (seen.issuer === command.issuer && seen.subject === command.subject);
  if (!sameOwner) {
    return refuse(
      "already-exists",
      "this name already belongs to another account; an administrator must rename one of them at its issuer",
    );
  }
  const login = command.authTimeMs !== 0 || command.sealedRefreshToken.length > 0;
  if (!login && seen !== undefined && state.standing && sameGroups(seen.groups, command.groups)) return events();
  const { kind: _kind, principalKind, groups, providerGroups, ...same } = command;
  return events({
    $case: "principalSeen",
    value: { ...same, kind: principalKind, groups: [...groups], providerGroups: [...providerGroups] },
  });
}

function evolve(state: PrincipalState, { fact }: Event): PrincipalState {
  switch (fact?.$case) {
    case "principalSeen":
      return { ...state, seen: fact.value, standing: true };
    case "principalGroupsChanged": {
      const { groups, providerGroups } = fact.value;
      return state.seen === undefined ? state : { ...state, seen: { ...state.seen, groups, providerGroups } };
    }
    case "providerSessionEnded":
      if (fact.value.providerSessionId !== "" || state.seen === undefined) return state;
      return { ...state, standing: false, seen: { ...state.seen, sealedRefreshToken: Buffer.alloc(0) } };
    case "principalOffboarded":
      return {
        offboarded: true,
        standing: false,
        seen: state.seen === undefined ? undefined : { ...state.seen, sealedRefreshToken: Buffer.alloc(0) },
      };
    case "principalReinstated":
      return { ...state, offboarded: false };
    default:
      return state;
  }
}
