export { startPostgres } from "./postgres-server.ts";
export type { TestPostgres, TestPostgresOptions } from "./postgres-server.ts";
