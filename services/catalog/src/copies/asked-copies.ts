import type { ColumnCopy } from "@sallyport/proto/catalog_model";
import { AppError } from "@sallyport/runtime";

/** Of one command. */
const MOST_OF_ONE = 5_000;
/** PostgreSQL's names have at most 63 bytes as it is built by default. */
const LONGEST_NAME = 255;

/** What an edge says that a command copies. Throws `exhausted` or `invalid-input` for what cannot be one. */
export function askedCopies(copies: readonly ColumnCopy[]): readonly ColumnCopy[] {
  const op = "catalog.recordCopies";
  if (copies.length > MOST_OF_ONE)
    throw new AppError(
      "exhausted",
      op,
      `the command copies ${copies.length} columns; at most ${MOST_OF_ONE} are followed`,
    );
  for (const { relation, column, schema, sourceOid, sourceNumber, class: name } of copies) {
    if (relation === "" || column === "")
      throw new AppError("invalid-input", op, "a copy names its relation and column");
    if (Math.max(relation.length, column.length, schema.length, name.length) > LONGEST_NAME)
      throw new AppError("invalid-input", op, `a name has at most ${LONGEST_NAME} characters`);
    if ((name === "") !== sourceOid > 0 || sourceOid > 0 !== sourceNumber > 0)
      throw new AppError("invalid-input", op, "a copy has either a source column or a class");
  }
  return copies;
}
