/**
 * Cancel keys name the edge that issued them, so that a cancel that a load balancer sends elsewhere finds its way over
 * `control.<edge>`.
 */
export interface CancelKey {
  /** 12 bits of the edge's name, 20 bits of a counter; never 0 */
  readonly processId: number;
  readonly secret: Buffer;
}

export interface CancelControl {
  /** `secretBytes`: 4 (PostgreSQL 3.0) … 32. `onCancel` is called at most once per request that shows the key. */
  issue(secretBytes: number, onCancel: (clientAddress: string) => void): { key: CancelKey; withdraw(): void };
  /** A request from anybody. Passed on when another edge issued the key. Never tells whether it was right. */
  request(processId: number, secret: Buffer, clientAddress: string): void;
}
