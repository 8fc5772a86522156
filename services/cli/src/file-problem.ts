/** Why a file or folder could not be read, for the end of a sentence: "…: it does not exist". */
export function whyUnreadable(cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code;
  switch (code) {
    case "ENOENT":
      return "it does not exist";
    case "ENOTDIR":
      return "it is not a folder";
    case "EISDIR":
      return "it is a folder";
    case "EACCES":
    case "EPERM":
      return "this account may not read it";
    default:
      return `the system says ${code ?? "no more"}`;
  }
}
