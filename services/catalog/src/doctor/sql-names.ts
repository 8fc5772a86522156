/** As an identifier in SQL, always quoted: the statements are run by somebody's administrator. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

export const qualified = ({ schema, name }: { schema: string; name: string }): string =>
  `${quoted(schema)}.${quoted(name)}`;

/** `PUBLIC` is a word and no name. */
export const grantee = (role: string): string => (role === "PUBLIC" ? "PUBLIC" : quoted(role));
