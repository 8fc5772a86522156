/**
 * Writes what is derived from the .proto sources: `gen/messages.ts` (how stored bytes become JSON, field by field with
 * its sensitivity) and `docs/events.md`. Run by `npm run generate`; a test runs it again and compares.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface FieldJson {
  name: string;
  number: number;
  label: string;
  type: string;
  typeName?: string;
  oneofIndex?: number;
  proto3Optional?: boolean;
  options?: Record<string, string>;
}
interface MessageJson {
  name: string;
  field?: FieldJson[];
  nestedType?: MessageJson[];
  enumType?: EnumJson[];
  options?: { mapEntry?: boolean };
}
interface EnumJson {
  name: string;
  value: { name: string; number?: number }[];
}
interface FileJson {
  name: string;
  messageType?: MessageJson[];
  enumType?: EnumJson[];
  sourceCodeInfo: { location: { path: number[]; leadingComments?: string; trailingComments?: string }[] };
}

interface Message {
  name: string;
  file: string;
  comment: string;
  mapEntry: boolean;
  fields: Field[];
}
interface Field {
  number: number;
  name: string;
  type: string;
  of: string;
  repeated: boolean;
  sensitivity: string;
  comment: string;
}

const repository = join(import.meta.dirname, "../../..");
const PREFIX = ".sallyport.v1.";
const ROOTS = ["FrameBatch", "RecordHeader", "RecordBody", "Event", "Verdict"];
const SCALARS: Record<string, string> = {
  TYPE_STRING: "string",
  TYPE_BYTES: "bytes",
  TYPE_BOOL: "bool",
  TYPE_UINT32: "uint",
  TYPE_UINT64: "uint",
  TYPE_INT32: "int",
  TYPE_INT64: "int",
  TYPE_ENUM: "enum",
  TYPE_MESSAGE: "message",
};

export interface Generated {
  /** gen/messages.ts */
  messages: string;
  /** docs/events.md */
  events: string;
}

/** Both texts, as they should stand in the repository. */
export function generate(): Generated {
  const { messages, enums } = readImage();
  const reachable = reach(messages, ROOTS);
  return { messages: renderTable(reachable, enums), events: renderDocument(messages, enums) };
}

function readImage(): { messages: Map<string, Message>; enums: Map<string, EnumJson> } {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-proto-"));
  try {
    const image = join(folder, "image.json");
    execFileSync(join(repository, "node_modules/.bin/buf"), ["build", "-o", image], { cwd: join(repository, "proto") });
    const files = (JSON.parse(readFileSync(image, "utf8")) as { file: FileJson[] }).file;
    const messages = new Map<string, Message>();
    const enums = new Map<string, EnumJson>();
    for (const file of files.filter((f) => f.name.startsWith("sallyport/"))) collect(file, messages, enums);
    return { messages, enums };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function collect(file: FileJson, messages: Map<string, Message>, enums: Map<string, EnumJson>): void {
  const comments = new Map<string, string>();
  for (const location of file.sourceCodeInfo.location) {
    const text = [location.leadingComments, location.trailingComments].filter((t) => t !== undefined).join(" ");
    if (text !== "") comments.set(location.path.join("."), text.trim().replace(/\s*\n\s*/g, " "));
  }
  const visit = (message: MessageJson, prefix: string, path: number[]): void => {
    const name = prefix + message.name;
    messages.set(name, {
      name,
      file: file.name,
      comment: comments.get(path.join(".")) ?? "",
      mapEntry: message.options?.mapEntry === true,
      fields: (message.field ?? []).map((field, i) => toField(field, comments.get([...path, 2, i].join(".")) ?? "")),
    });
    message.nestedType?.forEach((nested, i) => visit(nested, `${name}.`, [...path, 3, i]));
    for (const e of message.enumType ?? []) enums.set(`${name}.${e.name}`, e);
  };
  file.messageType?.forEach((message, i) => visit(message, "", [4, i]));
  for (const e of file.enumType ?? []) enums.set(e.name, e);
}

function toField(field: FieldJson, comment: string): Field {
  const type = SCALARS[field.type];
  if (type === undefined) throw new Error(`${field.name}: no rule for ${field.type}`);
  const option = field.options?.["[sallyport.v1.sensitivity]"] ?? "DATA_SECRET";
  return {
    number: field.number,
    name: field.name,
    type,
    of: field.typeName?.replace(PREFIX, "") ?? "",
    repeated: field.label === "LABEL_REPEATED",
    sensitivity: option.replace("DATA_", "").toLowerCase(),
    comment,
  };
}

function reach(messages: Map<string, Message>, roots: string[]): Message[] {
  const seen = new Set<string>();
  const queue = [...roots];
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    if (seen.has(name)) continue;
    seen.add(name);
    for (const field of messages.get(name)?.fields ?? []) if (field.type === "message") queue.push(field.of);
  }
  return [...seen].toSorted().map((name) => messages.get(name) as Message);
}

/** `STATUS_OK` of enum `Status` is `ok`; the zero value is the empty text. */
function enumLabels(name: string, e: EnumJson): string[] {
  const last = name.slice(name.lastIndexOf(".") + 1);
  const prefix = `${last.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "_").toUpperCase()}_`;
  const labels: string[] = [];
  for (const value of e.value) {
    const label = value.name.startsWith(prefix) ? value.name.slice(prefix.length) : value.name;
    labels[value.number ?? 0] = (value.number ?? 0) === 0 ? "" : label.toLowerCase().replaceAll("_", "-");
  }
  return labels;
}

function renderTable(reachable: Message[], enums: Map<string, EnumJson>): string {
  const lines = [
    "// Written by scripts/describe-proto.ts from the .proto sources. Not to be edited.",
    "",
    'export type FieldType = "string" | "bytes" | "bool" | "uint" | "int" | "enum" | "message";',
    'export type Sensitivity = "public" | "sensitive" | "secret";',
    "/** [number, name, type, of (message or enum name), repeated, sensitivity] */",
    "export type FieldRow = readonly [number, string, FieldType, string, boolean, Sensitivity];",
    "",
    "/** A map's key and value carry the sensitivity of the field that holds the map. */",
    "export const mapEntries: readonly string[] = [",
    ...reachable.filter((m) => m.mapEntry).map((m) => `  ${JSON.stringify(m.name)},`),
    "];",
    "",
    "export const messages: Readonly<Record<string, readonly FieldRow[]>> = {",
  ];
  for (const message of reachable) {
    const key = message.name.includes(".") ? JSON.stringify(message.name) : message.name;
    if (message.fields.length === 0) lines.push(`  ${key}: [],`);
    else {
      lines.push(`  ${key}: [`);
      for (const f of message.fields) {
        lines.push(
          `    ${JSON.stringify([f.number, f.name, f.type, f.of, f.repeated, f.sensitivity]).replaceAll(",", ", ")},`,
        );
      }
      lines.push("  ],");
    }
  }
  lines.push("};", "", "/** Labels by number; the zero value is the empty text. */");
  lines.push("export const enums: Readonly<Record<string, readonly string[]>> = {");
  const used = new Set(reachable.flatMap((m) => m.fields.filter((f) => f.type === "enum").map((f) => f.of)));
  for (const name of [...used].toSorted()) {
    const key = name.includes(".") ? JSON.stringify(name) : name;
    const labels = enumLabels(name, enums.get(name) as EnumJson);
    const oneLine = `  ${key}: [${labels.map((l) => JSON.stringify(l)).join(", ")}],`;
    if (oneLine.length <= 120) lines.push(oneLine);
    else lines.push(`  ${key}: [`, ...labels.map((l) => `    ${JSON.stringify(l)},`), "  ],");
  }
  lines.push("};", "");
  return lines.join("\n");
}

const kebab = (name: string): string => name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "-").toLowerCase();
const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("<", "&lt;");

function renderDocument(messages: Map<string, Message>, enums: Map<string, EnumJson>): string {
  const record = messages.get("RecordBody") as Message;
  const event = messages.get("Event") as Message;
  const lines = [
    "# Events and records",
    "",
    "Written from `proto/` by `services/audit/scripts/describe-proto.ts`; a test compares. How to ask about them: [sql.md](sql.md).",
    "",
    "Two kinds of facts travel on the bus, both past tense, both kept for ever readable:",
    "",
    "- **Records** are what happens inside a session. An edge writes them in batches (`FrameBatch`) to `frames.<n>.<edge>.<lane>`,",
    "  in streams `FRAMES_<n>`. Only `audit` reads them.",
    "- **Events** are what services say: one `Event` per message on `events.<service>.<aggregate kind>.<id>`, in stream `EVENTS`.",
    "",
    "Each field is *public* (may stand in logs, traces and error texts), *sensitive* (stored, and shown only to readers with the",
    "matching `reveal` right) or *secret* (never shown; what is stored of it is sealed or hashed). In the log, public fields are in",
    "column `data`, sensitive ones in column `sensitive`, secret ones in neither.",
    "",
    "## Records",
    "",
    ...section(messages, enums, ["FrameBatch", "Record", "RecordHeader"], (m) => m),
    ...section(
      messages,
      enums,
      record.fields.map((f) => f.of),
      (m) => `\`${kebab(m)}\``,
    ),
    "## Events",
    "",
    ...section(messages, enums, ["Event"], (m) => m),
    ...section(
      messages,
      enums,
      event.fields.filter((f) => f.type === "message").map((f) => f.of),
      (m) => `\`${kebab(m)}\``,
    ),
  ];
  const top = new Set(["FrameBatch", "Record", "RecordHeader", "RecordBody", "Event"]);
  for (const f of [...record.fields, ...event.fields]) top.add(f.of);
  const parts = reach(messages, ["RecordBody", "Event", "Verdict"]).filter((m) => !top.has(m.name) && !m.mapEntry);
  lines.push("## Their parts", "");
  lines.push(
    ...section(
      messages,
      enums,
      parts.map((m) => m.name),
      (m) => m,
    ),
  );
  return `${lines.join("\n").trimEnd()}\n`;
}

function section(
  messages: Map<string, Message>,
  enums: Map<string, EnumJson>,
  names: string[],
  title: (name: string) => string,
): string[] {
  const lines: string[] = [];
  for (const name of names) {
    const message = messages.get(name) as Message;
    lines.push(`### ${title(name)}`, "");
    if (message.comment !== "") lines.push(cell(message.comment), "");
    const fields = message.fields.filter((f) => !(name === "Event" && f.type === "message"));
    if (fields.length === 0) lines.push("No fields: that it happened is all.", "");
    else {
      lines.push("| field | type | sensitivity | |", "|---|---|---|---|");
      for (const f of fields)
        lines.push(`| \`${f.name}\` | ${typeText(f, messages, enums)} | ${f.sensitivity} | ${cell(f.comment)} |`);
      lines.push("");
    }
  }
  return lines;
}

function typeText(field: Field, messages: Map<string, Message>, enums: Map<string, EnumJson>): string {
  const entry = messages.get(field.of);
  if (entry?.mapEntry === true)
    return `map of ${entry.fields[0]?.type} to ${entry.fields[1]?.of || entry.fields[1]?.type}`;
  let text = field.of === "" ? field.type : field.of;
  if (field.type === "enum") {
    const labels = enumLabels(field.of, enums.get(field.of) as EnumJson).filter((l) => l !== "");
    text = `one of ${labels.map((l) => `\`${l}\``).join(" ")}`;
  }
  return field.repeated ? `list of ${text}` : text;
}

/** Where each text stands. */
export const places = {
  messages: join(repository, "services/audit/gen/messages.ts"),
  events: join(repository, "docs/events.md"),
};

if (import.meta.main) {
  const generated = generate();
  writeFileSync(places.messages, generated.messages);
  writeFileSync(places.events, generated.events);
}
