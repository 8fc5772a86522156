import type { ExecutablePlan } from "./executable-plan.ts";

/** The plans that cells can be asked for, least recently used first to go. Plans can always be made again. */
export class PlanStore {
  readonly #limit: number;
  readonly #plans = new Map<string, ExecutablePlan>();

  constructor(limit = 20_000) {
    this.#limit = limit;
  }

  put(id: string, plan: ExecutablePlan): void {
    this.#plans.delete(id);
    this.#plans.set(id, plan);
    if (this.#plans.size <= this.#limit) return;
    const oldest = this.#plans.keys().next();
    if (!oldest.done) this.#plans.delete(oldest.value);
  }

  get(id: string): ExecutablePlan | undefined {
    const plan = this.#plans.get(id);
    if (plan) {
      this.#plans.delete(id);
      this.#plans.set(id, plan);
    }
    return plan;
  }
}
