import { policySetTextToParts, policyToJson } from "@cedar-policy/cedar-wasm/nodejs";
import type { PolicyFile } from "@sallyport/proto/catalog_model";

/** The policies of some files by their `@id`: what people know them by. A file that does not parse is one entry. */
export function policiesById(files: readonly PolicyFile[]): Map<string, { path: string; text: string }> {
  const policies = new Map<string, { path: string; text: string }>();
  for (const { path, text } of files) {
    const parts = policySetTextToParts(text);
    if (parts.type === "failure") {
      policies.set(`file ${path}`, { path, text });
      continue;
    }
    [...parts.policies, ...parts.policy_templates].forEach((policy, i) => {
      policies.set(idOf(policy) ?? `${path}#${i + 1}`, { path, text: policy });
    });
  }
  return policies;
}

function idOf(policy: string): string | undefined {
  const json = policyToJson(policy);
  return json.type === "success" ? (json.json.annotations?.["id"] ?? undefined) : undefined;
}
