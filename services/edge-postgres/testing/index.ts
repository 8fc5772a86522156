export { startPostgres } from "./postgres-server.ts";
export type { TestPostgres, TestPostgresOptions } from "./postgres-server.ts";
export { startTestGateway } from "./test-gateway.ts";
export type { TestGateway, TestGatewayOptions, TestRecord } from "./test-gateway.ts";
