/** `${NAME}` and `${NAME:-default}`; `$${` stands for `${` itself. */
const REFERENCE = /\$\$\{|\$\{([^}]*)\}/g;
const NAME = /^([A-Z][A-Z0-9_]*)(?::-(.*))?$/;

/**
 * Replaces variables in a text. In a plain (unquoted) YAML scalar the result is read as YAML reads it: a number where it
 * looks like one. Names that are not configured and have no default are a problem, never empty.
 */
export function interpolate(
  text: string,
  variables: Readonly<Record<string, string>>,
  plain: boolean,
): { value: unknown } | { problem: string } {
  if (!text.includes("${")) return { value: text };
  let problem: string | undefined;
  const value = text.replace(REFERENCE, (whole: string, inside: string | undefined) => {
    if (inside === undefined) return "${";
    const [, name, fallback] = NAME.exec(inside) ?? [];
    if (name === undefined) problem ??= `${whole} is no variable: expected \${NAME} or \${NAME:-default}`;
    else if (!Object.hasOwn(variables, name) && fallback === undefined) {
      problem ??= `the variable ${name} is not set: it has to be in the catalog's configuration (\`variables\`) or have a default, \${${name}:-…}`;
    }
    return name !== undefined && Object.hasOwn(variables, name) ? variables[name]! : (fallback ?? "");
  });
  if (problem !== undefined) return { problem };
  return { value: plain && /^(0|[1-9]\d{0,14})$/.test(value) ? Number(value) : value };
}
