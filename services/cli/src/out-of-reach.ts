import { AppError, fromStatus } from "@sallyport/runtime";
import { InterceptingCall, type Interceptor, type Metadata, status } from "@grpc/grpc-js";

/** What to do about a gateway that does not answer; ends the sentence that names its address. */
export const IS_IT_RUNNING =
  "Is the gateway running? `npm start` starts the one of this project; who runs another one can tell.";

const OP = "cli.call";

/** Whom a call was for, by its status's metadata: the status itself does not tell. */
const askedAt = new WeakMap<Metadata, string>();

/** For every client: lets `translate` name the address that did not answer. */
export function remembersAddress(address: string): Interceptor {
  return (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start: (metadata, _listener, next) =>
        next(metadata, {
          onReceiveStatus: (ended, pass) => {
            if (ended.code !== status.OK) askedAt.set(ended.metadata, address);
            pass(ended);
          },
        }),
    });
}

/** What the runtime says when there is no answer, of this call or of one that a service made for it: `op: sentence`. */
const NO_ANSWER = /^([\w.-]+): (?:the service cannot be reached|no answer in time)$/;

/** A call's failure with the service's sentence; without an answer, where none came from and what to do. */
export function translate(error: unknown): AppError {
  const failure = fromStatus(error, OP);
  const missing = NO_ANSWER.exec(failure.message);
  if (missing === null) return failure;
  const sentence =
    missing[1] === OP
      ? `The gateway does not answer at ${addressOf(error)}. ${IS_IT_RUNNING}`
      : "The gateway cannot answer now: one of its services does not reach another. Try again; if that stays, its operators must look.";
  return new AppError(failure.code, OP, sentence, { cause: error });
}

function addressOf(error: unknown): string {
  const metadata = (error as { metadata?: Metadata }).metadata;
  return (metadata && askedAt.get(metadata)) ?? "its address";
}
