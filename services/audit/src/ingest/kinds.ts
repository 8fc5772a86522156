import { messages } from "../../gen/messages.ts";

/** `CommandAdmitted` is `command-admitted`: the name of a fact in the log. */
export const kindName = (message: string): string => message.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "-").toLowerCase();

const records: string[] = [];
for (const row of messages["RecordBody"] ?? []) records[row[0]] = kindName(row[3]);
const events: string[] = [];
for (const row of messages["Event"] ?? []) if (row[2] === "message") events[row[0]] = kindName(row[3]);

/** RecordKind has the numbers of RecordBody's facts. */
export const kindOfRecord = (kind: number): string => records[kind] ?? `record-${kind}`;
export const kindOfEvent = (field: number): string => events[field] ?? `event-${field}`;
export const recordKinds: readonly string[] = records.filter((name) => name !== undefined);
export const eventKinds: readonly string[] = events.filter((name) => name !== undefined);
