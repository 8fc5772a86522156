/** A column by globs on its schema, relation and name. */
export interface ColumnPattern {
  schema: string;
  relation: string;
  column: string;
}

/**
 * `schema.relation.column`, each a glob of `*` and `?`; a part in double quotes may hold dots. Names are compared in small
 * letters. Undefined: not of this form.
 */
export function parseColumnPattern(text: string): ColumnPattern | undefined {
  const parts = [...text.matchAll(/(?:^|\.)(?:"([^"]+)"|([^".\s]+))/gy)];
  const consumed = parts.reduce((sum, part) => sum + part[0].length, 0);
  if (parts.length !== 3 || consumed !== text.length || text.startsWith(".")) return undefined;
  const [schema, relation, column] = parts.map((part) => (part[1] ?? part[2] ?? "").toLowerCase());
  if (!schema || !relation || !column || [schema, relation, column].some((part) => /[[\]{}\\]/.test(part)))
    return undefined;
  return { schema, relation, column };
}
