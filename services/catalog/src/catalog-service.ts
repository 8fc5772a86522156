import {
  CatalogServiceService,
  type ObservationProblem,
  type ObserveSchemaRequest,
  type ObserveSchemaResponse,
  type RecordCopiesRequest,
  type RecordCopiesResponse,
} from "@sallyport/proto/catalog";
import type { Store } from "@sallyport/decider";
import { AppError, service, type CallInfo, type EventFollower, type GrpcService } from "@sallyport/runtime";
import type { CatalogState } from "./catalog-state.ts";
import { schemaDigest } from "./configuration/digest.ts";
import { askedCopies } from "./copies/asked-copies.ts";
import type { CopiesState, RecordCopies } from "./copies/copies-decider.ts";
import type { Observations } from "./observation/observations.ts";
import { observedSchema } from "./observation/observed-schema.ts";
import { databaseAggregate, type ObserveSchema, type SchemaState } from "./observation/schema-decider.ts";

export interface CatalogParts {
  state: CatalogState;
  follower: Pick<EventFollower, "seq" | "waitFor">;
  schemas: Store<SchemaState, ObserveSchema>;
  copies: Store<CopiesState, RecordCopies>;
  observations: Observations;
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
      recordCopies: (request, call) => recordCopies(request, call, parts),
    },
  });
}

async function observe(
  request: ObserveSchemaRequest,
  call: CallInfo,
  parts: CatalogParts,
): Promise<ObserveSchemaResponse> {
  const { state, follower, schemas, observations } = parts;
  const { connection, database } = state.resolve(request.connection, request.database, "catalog.observeSchema");
  if (request.problem) {
    observations.came(connection.name, database, {
      atMs: Date.now(),
      edge: call.peer,
      problem: bounded(request.problem),
    });
    return { digest: state.schemaDigest(connection.name, database), changed: false, asOf: follower.seq() };
  }
  const schema = observedSchema(request.schema);
  const digest = schemaDigest(schema);
  const aggregate = databaseAggregate(connection.name, database);
  // read from the bus, not from memory: that nothing changed must not be said of a state that somebody else has replaced
  const known = await schemas.load(aggregate);
  const seen = (): void =>
    observations.came(connection.name, database, { atMs: Date.now(), edge: call.peer, problem: undefined });
  if (known.state.digest === digest) {
    seen();
    return { digest, changed: false, asOf: known.seq };
  }
  const command: ObserveSchema = { connection: connection.name, database, schema, digest, edge: call.peer };
  const handled = await schemas.handle(aggregate, command, { cause: `service:${call.peer}` });
  if (handled.kind === "refused") throw new AppError(handled.code, "catalog.observeSchema", handled.message);
  await follower.waitFor(handled.seq, OWN_FOLD_MS);
  seen();
  return { digest, changed: handled.events.length > 0, asOf: handled.seq };
}

const MOST_WORDS = 1_000;
const bounded = ({ code, message }: ObservationProblem): ObservationProblem => ({
  code: code.slice(0, MOST_WORDS),
  message: message.slice(0, MOST_WORDS),
});

async function recordCopies(
  request: RecordCopiesRequest,
  call: CallInfo,
  parts: CatalogParts,
): Promise<RecordCopiesResponse> {
  const op = "catalog.recordCopies";
  const { connection, database } = parts.state.resolve(request.connection, request.database, op);
  const copies = askedCopies(request.copies);
  const command: RecordCopies = { connection: connection.name, database, copies, edge: call.peer };
  const aggregate = databaseAggregate(connection.name, database);
  const handled = await parts.copies.handle(aggregate, command, { cause: `service:${call.peer}` });
  if (handled.kind === "refused") throw new AppError(handled.code, op, handled.message);
  return { asOf: handled.seq };
}
