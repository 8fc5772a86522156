/** One statement of a client; with parameters (as text) it goes in the extended protocol, else as a simple query. */
export interface Statement {
  readonly sql: string;
  readonly parameters?: readonly (string | null)[];
}

/** What a client sends, in its order, in one session. */
export interface StatementList {
  readonly client: string;
  /** the last id that was given to an order before */
  readonly lastOrder?: number;
  readonly statements: readonly Statement[];
}
