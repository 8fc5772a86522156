/** Lines and columns (from 1, columns in characters) of byte offsets in a text. */

export interface Position {
  line: number;
  column: number;
}

export class Positions {
  readonly #bytes: Buffer;
  readonly #lines: number[] = [0];

  constructor(text: string) {
    this.#bytes = Buffer.from(text, "utf8");
    for (let at = this.#bytes.indexOf(10); at >= 0; at = this.#bytes.indexOf(10, at + 1)) this.#lines.push(at + 1);
  }

  at(offset: number): Position {
    const bounded = Math.max(0, Math.min(offset, this.#bytes.length));
    let low = 0;
    let high = this.#lines.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#lines[middle] ?? 0) <= bounded) low = middle;
      else high = middle - 1;
    }
    const start = this.#lines[low] ?? 0;
    return { line: low + 1, column: [...this.#bytes.subarray(start, bounded).toString("utf8")].length + 1 };
  }
}
