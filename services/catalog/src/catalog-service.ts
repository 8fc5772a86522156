import { CatalogServiceService, type ObserveSchemaRequest, type ObserveSchemaResponse } from "@sallyport/proto/catalog";
import type { Store } from "@sallyport/decider";
import { AppError, service, type CallInfo, type EventFollower, type GrpcService } from "@sallyport/runtime";
import type { CatalogState } from "./catalog-state.ts";
import { schemaDigest } from "./configuration/digest.ts";
import { observedSchema } from "./observation/observed-schema.ts";
import { schemaAggregate, type ObserveSchema, type SchemaState } from "./observation/schema-decider.ts";

export interface CatalogParts {
  state: CatalogState;
  follower: Pick<EventFollower, "seq" | "waitFor">;
  schemas: Store<SchemaState, ObserveSchema>;
}

/** How long an answer waits for this process's own fold of what it has just published. */
const OWN_FOLD_MS = 2_000;

/** For edges: where a connection leads, and what they saw there. */
export function catalogService(parts: CatalogParts): GrpcService {
  const { state, follower } = parts;
  return service({
    definition: CatalogServiceService,
    handlers: {
      resolve: (request) => {
        const { connection, database } = state.resolve(request.connection, request.database, "catalog.resolve");
        const schemaDigestNow = state.schemaDigest(connection.name, database);
        return { connection, database, schemaDigest: schemaDigestNow, asOf: follower.seq() };
      },
      observeSchema: (request, call) => observe(request, call, parts),
    },
  });
}

async function observe(
  request: ObserveSchemaRequest,
  call: CallInfo,
  parts: CatalogParts,
): Promise<ObserveSchemaResponse> {
  const { state, follower, schemas } = parts;
  const { connection, database } = state.resolve(request.connection, request.database, "catalog.observeSchema");
  const schema = observedSchema(request.schema);
  const digest = schemaDigest(schema);
  const aggregate = schemaAggregate(connection.name, database);
  // read from the bus, not from memory: that nothing changed must not be said of a state that somebody else has replaced
  const known = await schemas.load(aggregate);
  if (known.state.digest === digest) return { digest, changed: false, asOf: known.seq };
  const command: ObserveSchema = { connection: connection.name, database, schema, digest, edge: call.peer };
  const handled = await schemas.handle(aggregate, command, { cause: `service:${call.peer}` });
  if (handled.kind === "refused") throw new AppError(handled.code, "catalog.observeSchema", handled.message);
  await follower.waitFor(handled.seq, OWN_FOLD_MS);
  return { digest, changed: handled.events.length > 0, asOf: handled.seq };
}
