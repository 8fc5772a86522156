import type { Configuration } from "@sallyport/proto/catalog_model";
import { Principal, PrincipalKind, TokenKind } from "@sallyport/proto/principal";
import { AppError, type Callers } from "@sallyport/runtime";

const MOST_ASKED = 500;
const AT_ONCE = 16;

/**
 * Classes that nobody may see in clear on the connection now: neither somebody of any group that policies name, nor anybody
 * that they name in person, nor everybody. Policies can tell no others apart, but by the hour and the like.
 */
export async function hiddenFromAll(
  configuration: Configuration,
  connection: string,
  callers: Pick<Callers, "authorize">,
  signal: AbortSignal,
): Promise<string[]> {
  const people = everySortOf(configuration);
  if (people.length > MOST_ASKED)
    throw new AppError(
      "exhausted",
      "catalog.doctor",
      `policies name ${people.length} groups and people: too many to ask for`,
    );
  const revealed = new Set<string>();
  for (let from = 0; from < people.length; from += AT_ONCE) {
    const answers = people
      .slice(from, from + AT_ONCE)
      .map((person) => callers.authorize(person, "reveal", "", signal, connection));
    for (const { revealedClasses } of await Promise.all(answers))
      for (const name of revealedClasses) revealed.add(name);
  }
  return configuration.classes.map(({ name }) => name).filter((name) => !revealed.has(name));
}

const KINDS = {
  User: PrincipalKind.PRINCIPAL_KIND_USER,
  Workload: PrincipalKind.PRINCIPAL_KIND_WORKLOAD,
  Agent: PrincipalKind.PRINCIPAL_KIND_AGENT,
} as const;

/** One for each group and each name in the policies, one in no group, one in all. */
function everySortOf({ policies }: Configuration): Principal[] {
  const groups = new Set<string>();
  const named = new Map<string, Principal>();
  for (const { text } of policies) {
    for (const [, type, quotedId] of text.matchAll(/\b(Group|User|Workload|Agent)::("(?:[^"\\]|\\.)*")/g)) {
      const id = unquoted(quotedId!);
      if (type === "Group") groups.add(id);
      else named.set(`${type}:${id}`, somebody(type as keyof typeof KINDS, id, []));
    }
  }
  const all = [...groups];
  const sorts = [[], all, ...all.map((group) => [group])];
  // Somebody who is named is of groups as well.
  const inGroups = [...named.values()].map((one) => ({ ...one, groups: all }));
  return [...sorts.map((of) => somebody("User", "-", of)), ...named.values(), ...inGroups];
}

function somebody(type: keyof typeof KINDS, name: string, groups: string[]): Principal {
  return Principal.fromPartial({
    id: `${type.toLowerCase()}:${name}`,
    kind: KINDS[type],
    name,
    groups,
    mfa: true,
    authTimeMs: Date.now(),
    tokenKind: TokenKind.TOKEN_KIND_ACCESS,
  });
}

/** Cedar's strings escape as JSON's do, nearly; what does not stays as it is. */
function unquoted(text: string): string {
  try {
    return JSON.parse(text) as string;
  } catch {
    return text.slice(1, -1);
  }
}
