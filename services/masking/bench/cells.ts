/** What MaskCells costs: ms for 1,000 cells of one kind. Run: node bench/cells.ts */
import { DETECTORS } from "../src/detect/find.ts";
import { detectorSet } from "../src/scan/detector-set.ts";
import { cellMask } from "../src/scan/mask-cell.ts";
import { KeyedHash } from "../src/transform/keyed-hash.ts";

const tools = {
  find: detectorSet(["US", "GB", "DE", "CH", "FR"]),
  hash: new KeyedHash(Buffer.alloc(32, 7)),
  maxScanBytes: 4 * 1024 * 1024,
};
const scan = cellMask(
  { kind: "scan", value: "text", wanted: DETECTORS, revealed: [], transforms: {} },
  "orders",
  tools,
);
const hash = cellMask({ kind: "hash", value: "text", prefix: "" }, "orders", tools);

const four = (n: number): string => String(n % 10_000).padStart(4, "0");
const kinds: Record<string, (i: number) => string> = {
  "nothing to find": () => "Call back after six, the customer was not at home when we came by for delivery. ",
  "dates and ids": (i) =>
    `Order ${100_000 + i} was shipped on 2024-01-15 10:30 with parcel 00340434160${four(i)} weight 12.5`,
  "one e-mail and a card": (i) =>
    `Prefers mail to ada${i}@example.org, paid with card 400000000031${four(i)}, thank you`,
  "two phone numbers": (i) =>
    `please call him back at +1 202 555 ${four(i)} or 079 123 45 ${10 + (i % 90)} in the morning `,
  "not ASCII": () => "Příliš žluťoučký kůň úpěl ďábelské ódy, und viele herzliche Grüße aus Köln an euch",
};

function measure(name: string, mask: typeof scan, text: (i: number) => string): void {
  const cells = Array.from({ length: 1_000 }, (_, i) => Buffer.from(text(i)));
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 20; round++) {
    const from = performance.now();
    for (const cell of cells) for (const work = mask(cell); work.next().done !== true;);
    best = Math.min(best, performance.now() - from);
  }
  console.log(`${name.padEnd(24)} ${best.toFixed(1).padStart(6)} ms / 1,000 cells`);
}

for (const [name, text] of Object.entries(kinds)) measure(`scan, ${name}`, scan, text);
measure("hash", hash, (i) => `ada${i}@example.com`);
