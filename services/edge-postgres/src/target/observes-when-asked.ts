import type { CatalogLink } from "@sallyport/edge";
import type { Event } from "@sallyport/proto/event";
import type { Logger } from "@sallyport/runtime";
import type { SchemaObserver } from "./schema-observer.ts";

/** Looks at a target anew when somebody has asked for it (`sallyport doctor`). What comes of it, `catalog` is told. */
export function observesWhenAsked(
  catalog: CatalogLink,
  observer: Pick<SchemaObserver, "observe">,
  log: Logger,
): (event: Event) => void {
  return ({ fact }) => {
    if (fact?.$case !== "observationRequested") return;
    const { connection: name, database } = fact.value;
    catalog
      .resolve({ connection: name, database })
      .then(({ connection }) =>
        connection?.protocol === "postgresql" ? observer.observe(connection, database) : undefined,
      )
      .catch((error: unknown) => log.warn({ err: error, connection: name }, "the target could not be looked at"));
  };
}
