/**
 * Globs over names: `*` any characters, `?` one. Everything else stands for itself. Names are compared in lower case, as
 * unquoted names are written in SQL. Time is bounded by pattern length × name length, for every input.
 */
export function matchesGlob(pattern: string, name: string): boolean {
  let p = 0;
  let n = 0;
  let star = -1;
  let resume = 0;
  while (n < name.length) {
    const char = pattern[p];
    if (char === "*") {
      star = p++;
      resume = n;
    } else if (char !== undefined && (char === "?" || char === name[n])) {
      p++;
      n++;
    } else if (star !== -1) {
      p = star + 1;
      n = ++resume;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}
