import type { Transform } from "@sallyport/proto/catalog_model";

/** How little a transform leaves of a value: the higher, the stricter. Used where several classes meet in one column. */
export function strictness(transform: Transform | undefined): number {
  const kind = transform?.kind;
  switch (kind?.$case) {
    case undefined:
      return RANK.redact;
    case "nullify":
      return RANK.nullify;
    case "redact":
      return RANK.redact;
    case "hash":
      return RANK.hash;
    case "partial": {
      const kept = kind.value.keepFirst + kind.value.keepLast;
      return RANK.partial + 1 / (2 + kept) + (kind.value.keepSeparators ? 0 : 0.4);
    }
    case "scan":
      return RANK.scan;
  }
}

const RANK = { nullify: 5, redact: 4, hash: 3, partial: 2, scan: 1 } as const;
