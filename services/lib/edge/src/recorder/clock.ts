/** Microseconds since 1970: the monotonic clock, set right against the wall clock when that has moved by more than 2 ms. */
let offsetMs = performance.timeOrigin;
let lookedAt = 0;

export function nowUs(): number {
  const elapsed = performance.now();
  if (elapsed - lookedAt > 1000) {
    lookedAt = elapsed;
    const offset = Date.now() - elapsed;
    if (Math.abs(offset - offsetMs) > 2) offsetMs = offset;
  }
  return Math.floor((offsetMs + elapsed) * 1000);
}
