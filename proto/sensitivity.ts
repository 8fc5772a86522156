/** Which fields of the contract say how freely their content may travel (data.proto). */

interface FieldDescriptor {
  name: string;
  options?: Record<string, unknown>;
}
interface MessageDescriptor {
  name: string;
  field?: FieldDescriptor[];
  nestedType?: MessageDescriptor[];
  options?: { mapEntry?: boolean };
}
/** A descriptor set in protobuf's JSON mapping, as `buf build -o -#format=json` writes it. */
export interface DescriptorSet {
  file: { name: string; package?: string; messageType?: MessageDescriptor[] }[];
}

export interface ClassifiedField {
  /** `sallyport.v1.Principal.id` */
  name: string;
  /** Absent: the field lacks the option, or says DATA_UNSPECIFIED. */
  sensitivity: string | undefined;
}

const OPTION = "[sallyport.v1.sensitivity]";

/** Every field of every message of our own packages. The key and value of a map stand under the map's own field. */
export function fieldsOf(set: DescriptorSet): ClassifiedField[] {
  return set.file
    .filter((file) => file.package?.startsWith("sallyport.") ?? false)
    .flatMap((file) => (file.messageType ?? []).flatMap((message) => fieldsOfMessage(message, file.package ?? "")));
}

function fieldsOfMessage(message: MessageDescriptor, parent: string): ClassifiedField[] {
  if (message.options?.mapEntry === true) return [];
  const name = `${parent}.${message.name}`;
  const own = (message.field ?? []).map((field) => ({ name: `${name}.${field.name}`, sensitivity: classOf(field) }));
  return [...own, ...(message.nestedType ?? []).flatMap((nested) => fieldsOfMessage(nested, name))];
}

function classOf(field: FieldDescriptor): string | undefined {
  const value = field.options?.[OPTION];
  return typeof value === "string" && value !== "DATA_UNSPECIFIED" ? value : undefined;
}
