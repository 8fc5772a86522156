import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { grafana } from "./written/grafana.ts";
import { metabase } from "./written/metabase.ts";
import { prisma } from "./written/prisma.ts";
import type { StatementList } from "./statement-list.ts";

const RECORDED = join(import.meta.dirname, "recorded");

/** From the server's log of a real client. */
const recorded = readdirSync(RECORDED).map(
  (file) => JSON.parse(readFileSync(join(RECORDED, file), "utf8")) as StatementList,
);

export const lists: readonly StatementList[] = [...recorded, prisma, metabase, grafana];
