/** Runs in a worker thread: looks at one configuration after the other. Messages are encoded protobuf. */

import { parentPort } from "node:worker_threads";
import { Configuration } from "@sallyport/proto/catalog_model";
import { ValidateResponse } from "@sallyport/proto/policy";
import { validateConfiguration } from "./validate.ts";

const port = parentPort;
if (port === null) throw new Error("this module is a worker's");

port.on("message", ({ id, configuration }: { id: number; configuration: Uint8Array }) => {
  const response = validateConfiguration(Configuration.decode(configuration));
  port.postMessage({ id, response: ValidateResponse.encode(response).finish() });
});
