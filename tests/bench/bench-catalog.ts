import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const DEMO = join(dirname(fileURLToPath(import.meta.url)), "../../deploy/local/catalog");

/**
 * The demo's catalog and one connection more, `bench`. The demo's patterns classify `email` and `phone` of `people_rows`
 * and nothing of `plain_rows`; its policies hide both classes from engineers.
 */
export function writeBenchCatalog(folder: string, port: number): void {
  mkdirSync(folder, { recursive: true });
  cpSync(DEMO, folder, { recursive: true });
  writeFileSync(
    join(folder, "bench.yaml"),
    `connections:
  - name: bench
    description: what \`npm run bench\` measures
    protocol: postgresql
    host: 127.0.0.1
    port: ${port}
    database: bench
    labels: { env: production }
    role: { user: sallyport_app, password: "file:secrets/orders-password" }
    tls: { mode: disable }
`,
  );
}
