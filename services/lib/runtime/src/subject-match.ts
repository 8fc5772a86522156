/** NATS subject patterns: `*` is one token, `>` at the end is one or more. */
export function subjectMatcher(patterns: readonly string[]): (subject: string) => boolean {
  const tests = patterns.map((pattern) => pattern.split("."));
  return (subject) => {
    const tokens = subject.split(".");
    return tests.some((test) => matches(test, tokens));
  };
}

function matches(pattern: readonly string[], tokens: readonly string[]): boolean {
  for (const [i, part] of pattern.entries()) {
    if (part === ">") return tokens.length > i;
    if (i >= tokens.length || (part !== "*" && part !== tokens[i])) return false;
  }
  return tokens.length === pattern.length;
}
