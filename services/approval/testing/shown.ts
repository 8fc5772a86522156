import { HeldCommand } from "@sallyport/proto/held_command";

/** What an edge shows of a text, with a value and an inner statement that only those who answer may see. */
export const shownOf = (text: string): HeldCommand =>
  HeldCommand.fromPartial({
    textLength: Buffer.byteLength(text),
    parameterCount: 2,
    parameters: [
      { typeOid: 25, value: "grace@example.org", length: 17 },
      { typeOid: 17, binary: true, value: "c0ffee", length: 2_000, cut: true, sha256: Buffer.alloc(32, 3) },
    ],
    executes: [
      { kind: 1, name: "wipe", text: "delete from t where k = 'grace'", normalized: "delete from t where k = $1" },
    ],
  });
