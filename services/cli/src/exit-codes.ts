import { AppError } from "@sallyport/runtime";

/** Exit codes, as documented in the README and in `sallyport --help`. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notSignedIn: 3,
  refused: 4,
  notFound: 5,
  unavailable: 6,
} as const;

export function exitCodeOf(error: unknown): number {
  if (!(error instanceof AppError)) return EXIT.failed;
  switch (error.code) {
    case "invalid-input":
      return EXIT.usage;
    case "unauthenticated":
      return EXIT.notSignedIn;
    case "not-permitted":
      return EXIT.refused;
    case "not-found":
      return EXIT.notFound;
    case "unavailable":
    case "deadline":
      return EXIT.unavailable;
    case "already-exists":
    case "conflict":
    case "failed-precondition":
    case "exhausted":
    case "cancelled":
    case "internal":
      return EXIT.failed;
  }
}
