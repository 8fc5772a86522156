/** grpc.health.v1 (https://github.com/grpc/grpc-proto/blob/master/grpc/health/v1/health.proto), small enough to encode here. */
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { AppError } from "./app-error.ts";
import { type GrpcService, service } from "./grpc-service.ts";

const statuses = { unknown: 0, serving: 1, "not-serving": 2 } as const;
type Serving = keyof typeof statuses;

interface HealthRequest {
  service: string;
}
interface HealthResponse {
  status: number;
}

// message HealthCheckRequest { string service = 1; }   message HealthCheckResponse { ServingStatus status = 1; }
const request = {
  requestSerialize: (value: HealthRequest): Buffer => {
    const writer = new BinaryWriter();
    if (value.service) writer.uint32(10).string(value.service);
    return Buffer.from(writer.finish());
  },
  requestDeserialize: (bytes: Buffer): HealthRequest => {
    const reader = new BinaryReader(bytes);
    let name = "";
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      if (field === 1 && wireType === WireType.LengthDelimited) name = reader.string();
      else reader.skip(wireType, field);
    }
    return { service: name };
  },
};
const response = {
  responseSerialize: (value: HealthResponse): Buffer => Buffer.from([8, value.status]),
  responseDeserialize: (bytes: Buffer): HealthResponse => ({ status: bytes[1] ?? 0 }),
};

export const HealthService = {
  check: {
    path: "/grpc.health.v1.Health/Check" as const,
    requestStream: false as const,
    responseStream: false as const,
    ...request,
    ...response,
  },
  watch: {
    path: "/grpc.health.v1.Health/Watch" as const,
    requestStream: false as const,
    responseStream: true as const,
    ...request,
    ...response,
  },
} as const;

export interface Health {
  set(serving: Serving): void;
  service: GrpcService;
}

/** One status for the whole process: it serves everything it has, or nothing. `names` are the full service names. */
export function createHealth(names: readonly string[]): Health {
  let status: Serving = "not-serving";
  let changed = Promise.withResolvers<void>();
  const known = (name: string) => name === "" || names.includes(name);
  return {
    set: (serving) => {
      status = serving;
      changed.resolve();
      changed = Promise.withResolvers();
    },
    service: service({
      definition: HealthService,
      handlers: {
        check: (asked) => {
          if (!known(asked.service)) throw new AppError("not-found", "health.check", "unknown service");
          return { status: statuses[status] };
        },
        watch: async function* (asked, call) {
          const cancelled = new Promise<void>((resolve) => call.signal.addEventListener("abort", () => resolve()));
          while (!call.signal.aborted) {
            const next = changed.promise;
            yield { status: known(asked.service) ? statuses[status] : 3 };
            await Promise.race([next, cancelled]);
          }
        },
      },
    }),
  };
}
