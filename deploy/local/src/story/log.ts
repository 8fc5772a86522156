import { bearer, items, type Api } from "@sallyport/cli/api";
import type { Profile } from "@sallyport/cli/home";

export type Row = Readonly<Record<string, unknown>>;

/** The gateway's log, asked as one account through its public service. */
export interface Log {
  ask(sql: string, parameters?: Readonly<Record<string, string>>): Promise<Row[]>;
  /**
   * Asks until the answer satisfies `enough`: the log follows the data path by a fraction of a second. Returns the last
   * answer when the bound is reached, so that the caller can say what is missing.
   */
  askUntil(
    sql: string,
    parameters: Readonly<Record<string, string>>,
    enough: (rows: readonly Row[]) => boolean,
  ): Promise<Row[]>;
}

const BOUND_MS = 60_000;

export function openLog(api: Api, profile: Profile): Log {
  const ask = async (sql: string, parameters: Readonly<Record<string, string>> = {}): Promise<Row[]> => {
    let columns: string[] = [];
    const rows: Row[] = [];
    const stream = api.audit.query({ sql, parameters: { ...parameters }, maxRows: 0 }, bearer(profile.token));
    for await (const { part } of items(stream)) {
      if (part?.$case === "columns") columns = part.value.names;
      else if (part?.$case === "row") {
        const cells = JSON.parse(part.value.json) as unknown[];
        rows.push(Object.fromEntries(columns.map((column, index) => [column, cells[index]])));
      }
    }
    return rows;
  };
  return {
    ask,
    async askUntil(sql, parameters, enough) {
      const deadline = Date.now() + BOUND_MS;
      for (;;) {
        const rows = await ask(sql, parameters);
        if (enough(rows) || Date.now() > deadline) return rows;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    },
  };
}
