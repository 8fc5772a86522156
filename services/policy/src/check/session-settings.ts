/** Settings of the session under which the parser here and the server would read a text differently. */

import type { CommandCheck } from "@sallyport/proto/policy";

const UTF8 = new Set(["UTF8", "UTF-8", "UNICODE"]);

const isAscii = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
};

/** Why, or undefined. A setting that the edge does not know counts as unsafe. */
export function unsafeSetting({ settings, text }: Pick<CommandCheck, "settings" | "text">): string | undefined {
  const conforming = settings["standard_conforming_strings"];
  if (conforming !== "on") {
    return conforming === undefined
      ? "standard_conforming_strings is not known"
      : "standard_conforming_strings is off; connect without that setting";
  }
  const encoding = settings["client_encoding"]?.toUpperCase();
  if (encoding === undefined) return "client_encoding is not known";
  if (UTF8.has(encoding)) return undefined;
  if (encoding === "SQL_ASCII" && isAscii(text)) return undefined;
  return "client_encoding is not UTF8; connect with client_encoding=UTF8";
}
