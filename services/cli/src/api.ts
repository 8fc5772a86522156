import { readFileSync } from "node:fs";
import { credentials, Metadata, type Client, type ClientReadableStream } from "@grpc/grpc-js";
import { AccessServiceClient } from "@sallyport/proto/identity";
import { ConfigurationServiceClient } from "@sallyport/proto/catalog";
import { ApprovalsServiceClient } from "@sallyport/proto/approval";
import { AuditServiceClient } from "@sallyport/proto/audit";
import { AppError } from "@sallyport/runtime";
import { whyUnreadable } from "./file-problem.ts";
import type { Deployment } from "./home.ts";
import { remembersAddress, translate } from "./out-of-reach.ts";

/** The gateway's public services, over TLS, as one account. */
export interface Api {
  readonly access: AccessServiceClient;
  readonly configuration: ConfigurationServiceClient;
  readonly approvals: ApprovalsServiceClient;
  readonly audit: AuditServiceClient;
  close(): void;
}

const DEADLINE_MS = 20_000;

export function connectApi(deployment: Deployment): Api {
  const channel = credentials.createSsl(readAuthority(deployment.ca));
  const at = (address: string) => ({
    "grpc.max_receive_message_length": 64 * 1024 * 1024,
    interceptors: [remembersAddress(address)],
  });
  const access = new AccessServiceClient(deployment.identity, channel, at(deployment.identity));
  const configuration = new ConfigurationServiceClient(deployment.catalog, channel, at(deployment.catalog));
  const approvals = new ApprovalsServiceClient(deployment.approval, channel, at(deployment.approval));
  const audit = new AuditServiceClient(deployment.audit, channel, at(deployment.audit));
  const all: Client[] = [access, configuration, approvals, audit];
  return { access, configuration, approvals, audit, close: () => all.forEach((client) => client.close()) };
}

export function bearer(token: string): Metadata {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  return metadata;
}

type Unary<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: { deadline: number },
  callback: (error: Error | null, response: Response) => void,
) => unknown;

/** A call and its answer; failures are AppErrors with the service's sentence. */
export function call<Request, Response>(
  client: Client,
  method: Unary<Request, Response>,
  request: Request,
  metadata: Metadata = new Metadata(),
  deadlineMs: number = DEADLINE_MS,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    method.call(client, request, metadata, { deadline: Date.now() + deadlineMs }, (error, response) => {
      if (error === null) resolve(response);
      else reject(translate(error));
    });
  });
}

/** The items of a server stream. Ending the loop early cancels the call. */
export async function* items<Item>(stream: ClientReadableStream<Item>): AsyncGenerator<Item> {
  try {
    for await (const item of stream) yield item as Item;
  } catch (error) {
    throw translate(error);
  } finally {
    stream.cancel();
  }
}

function readAuthority(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new AppError(
      "failed-precondition",
      "cli.tls",
      `The gateway's certificate authority ${path} cannot be read: ${whyUnreadable(cause)}.`,
      { cause },
    );
  }
}
