/** Globs on names: `*` any run of characters, `?` one. Everything else is itself. Linear in pattern times name. */

export function globMatches(pattern: string, name: string): boolean {
  const glob = pattern === "" ? "*" : pattern.toLowerCase();
  const subject = name.toLowerCase();
  let p = 0;
  let s = 0;
  let star = -1;
  let resume = 0;
  while (s < subject.length) {
    const c = glob[p];
    if (c === "*") {
      star = p++;
      resume = s;
    } else if (c === "?" || c === subject[s]) {
      if (c === undefined) return false;
      p++;
      s++;
    } else if (star >= 0) {
      p = star + 1;
      s = ++resume;
    } else {
      return false;
    }
  }
  while (glob[p] === "*") p++;
  return p === glob.length;
}
