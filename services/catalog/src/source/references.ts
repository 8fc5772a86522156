/**
 * Where a secret's reference may point. Edges resolve references, in their own folders: a relative `file:` path is below the
 * edge's secrets folder. So that applying a configuration cannot send any file of an edge's machine to a host as a
 * password, `..` is refused, and absolute paths have to be below a folder that the catalog's configuration names.
 */
export function referenceProblem(reference: string, secretFolders: readonly string[]): string | undefined {
  if (!reference.startsWith("file:")) return undefined;
  const path = reference.slice("file:".length);
  const parts = path.split("/");
  if (path.includes("\0") || parts.includes("..") || parts.includes("."))
    return "a `file:` reference has no `.` or `..` in it";
  if (!path.startsWith("/")) return undefined;
  if (secretFolders.some((folder) => path.startsWith(folder.endsWith("/") ? folder : `${folder}/`))) return undefined;
  return "an absolute `file:` reference has to be below one of the catalog's `secretFolders`; relative ones are below the edge's secrets folder";
}
