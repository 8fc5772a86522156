export { startPostgres } from "./postgres-server.ts";
export type { TestPostgres, TestPostgresOptions } from "./postgres-server.ts";
export * as raw from "./raw-client.ts";
export { RawClient } from "./raw-client.ts";
export { appConnection, startTestGateway } from "./test-gateway.ts";
export type { TestGateway, TestGatewayOptions, TestRecord } from "./test-gateway.ts";
