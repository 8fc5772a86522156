import type { CatalogLink, Links, MaskingLink, PolicyLink } from "@sallyport/edge";
import type { Connection } from "@sallyport/proto/catalog_model";
import type { Logger } from "@sallyport/runtime";
import { observeSchema } from "./observe-schema.ts";
import type { TargetConnection } from "./login.ts";
import { TargetFault } from "./target-fault.ts";

/**
 * Sees to it that the schema of a target is observed, one observation at a time per database, and that what is decided
 * afterwards knows of it.
 */
export interface SchemaObserver {
  /** Resolves true when an observation that began after the call is with `catalog`; false: it failed (logged). */
  observe(connection: Connection, database: string): Promise<boolean>;
  /** The links, with every question about an observed database asking for answers that know the observation. */
  readonly links: Links;
}

interface Database {
  running: Promise<boolean> | undefined;
  /** begins when `running` is done: for those who asked meanwhile */
  next: Promise<boolean> | undefined;
}

const OBSERVE_MS = 10_000;

export function schemaObserver(
  links: Links,
  logInForObservation: (connection: Connection, database: string, signal: AbortSignal) => Promise<TargetConnection>,
  log: Logger,
): SchemaObserver {
  const databases = new Map<string, Database>();
  const seen = new Map<string, number>();
  const keyOf = (connection: string, database: string): string => JSON.stringify([connection, database]);
  const atLeast = (connection: string, database: string, asOf: number): number =>
    Math.max(asOf, seen.get(keyOf(connection, database)) ?? 0);

  async function observeNow(connection: Connection, database: string): Promise<boolean> {
    const signal = AbortSignal.timeout(OBSERVE_MS);
    let target: TargetConnection | undefined;
    try {
      target = await logInForObservation(connection, database, signal);
      const roles = [connection.role, connection.readRole].flatMap((role) => (role === undefined ? [] : [role.user]));
      const schema = await observeSchema(target, roles, signal);
      const { asOf } = await links.catalog.observeSchema({
        connection: connection.name,
        database,
        schema,
        problem: undefined,
      });
      seen.set(keyOf(connection.name, database), asOf);
      return true;
    } catch (error) {
      log.warn({ err: error, connection: connection.name, database }, "the schema could not be observed");
      if (error instanceof TargetFault) {
        // For whoever asks how the connection does; nothing waits for it.
        const problem = { code: error.code, message: error.message };
        links.catalog
          .observeSchema({ connection: connection.name, database, schema: undefined, problem })
          .catch((failed: unknown) => log.debug({ err: failed }, "catalog was not told"));
      }
      return false;
    } finally {
      target?.socket.destroy();
    }
  }

  function observe(connection: Connection, database: string): Promise<boolean> {
    const key = keyOf(connection.name, database);
    const known: Database = databases.get(key) ?? { running: undefined, next: undefined };
    databases.set(key, known);
    const begin = (): Promise<boolean> => {
      known.next = undefined;
      const running = observeNow(connection, database).finally(() => {
        if (known.running === running) known.running = undefined;
        if (known.next === undefined) databases.delete(key);
      });
      known.running = running;
      return running;
    };
    // One that is under way may have looked before the change that the caller wants to be seen.
    if (known.running === undefined) return begin();
    known.next ??= known.running.then(begin, begin);
    return known.next;
  }

  const policy: PolicyLink = {
    check: (question) =>
      links.policy.check({
        ...question,
        minAsOf: atLeast(question.session.connection, question.session.database, question.minAsOf),
      }),
  };
  const masking: MaskingLink = {
    plan: (result, minAsOf) => links.masking.plan(result, atLeast(result.connection, result.database, minAsOf)),
    cells: (planId, column, cells) => links.masking.cells(planId, column, cells),
  };
  const catalog: CatalogLink = links.catalog;
  return { observe, links: { ...links, policy, masking, catalog } };
}
