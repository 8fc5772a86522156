import { serialize } from "pg-protocol";
import { cellPlaces, decodeDataRow, decodeFields } from "../wire/backend.ts";
import { conditionName } from "../wire/sqlstate.ts";
import { Backend, backendTable } from "../wire/message-table.ts";
import { MessageSplitter } from "../wire/splitter.ts";
import { nextChunk, type TargetConnection } from "./login.ts";
import { TargetFault } from "./target-fault.ts";

export type SideRows = readonly (readonly (string | null)[])[];

const MOST_ROWS = 2_000_000;

/** One query on a login of the gateway's own; results as text. Throws TargetFault. One at a time. */
export async function sideQuery(target: TargetConnection, sql: string, signal: AbortSignal): Promise<SideRows> {
  const splitter = new MessageSplitter(backendTable);
  const places = cellPlaces();
  const rows: (string | null)[][] = [];
  let refused: string | undefined;
  target.socket.write(serialize.query(sql));
  for (;;) {
    while (splitter.next() === "message") {
      const { type, bytes, start, end } = splitter;
      if (type === Backend.readyForQuery) {
        if (refused === undefined) return rows;
        throw new TargetFault(
          "failed-precondition",
          `${target.address}: cannot be observed: ${conditionName(refused)} (${refused})`,
        );
      }
      if (type === Backend.errorResponse) refused = decodeFields(bytes, start + 5, end).get("C") ?? "XX000";
      if (type !== Backend.dataRow) continue;
      if (rows.length >= MOST_ROWS) throw new TargetFault("exhausted", `${target.address}: the schema is too large`);
      decodeDataRow(bytes, start + 5, end, places);
      const row: (string | null)[] = [];
      for (let i = 0; i < places.count; i++) {
        const from = places.starts[i] as number;
        const length = places.lengths[i] as number;
        row.push(length < 0 ? null : bytes.toString("utf8", from, from + length));
      }
      rows.push(row);
    }
    splitter.push(await nextChunk(target, signal));
  }
}
