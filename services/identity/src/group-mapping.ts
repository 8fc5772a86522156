import type { GroupMapping } from "@sallyport/proto/catalog_model";

/**
 * What the provider's groups are in Sallyport: without any mapping configured the same, with one only what is mapped.
 * Sorted and without repeats, so that two equal sets compare equal.
 */
export function mapGroups(mappings: readonly GroupMapping[], issuer: string, provider: readonly string[]): string[] {
  if (mappings.length === 0) return normalized(provider);
  const wanted = new Set(provider);
  return normalized(
    mappings.filter((one) => sameIssuer(one.issuer, issuer) && wanted.has(one.claimValue)).map((one) => one.group),
  );
}

export function normalized(groups: readonly string[]): string[] {
  return [...new Set(groups)].toSorted();
}

export function sameGroups(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((group, index) => group === b[index]);
}

/** An issuer is compared as it is written, but for one trailing slash, which people leave out or add. */
export function sameIssuer(a: string, b: string): boolean {
  return a.replace(/\/$/, "") === b.replace(/\/$/, "");
}

const MAX_GROUPS = 500;
const MAX_GROUP_LENGTH = 256;

/** A groups claim as a list; undefined when it is none (a part of a person's groups must not be dropped in silence). */
export function groupsOfClaim(claim: unknown): string[] | undefined {
  if (claim === undefined || claim === null) return [];
  const list: unknown[] = Array.isArray(claim) ? claim : [claim];
  if (list.length > MAX_GROUPS) return undefined;
  const groups = list.filter(
    (one): one is string => typeof one === "string" && one !== "" && one.length <= MAX_GROUP_LENGTH,
  );
  return groups.length === list.length ? normalized(groups) : undefined;
}
