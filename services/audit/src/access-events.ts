import { randomUUID } from "node:crypto";
import { jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { Event } from "@sallyport/proto/event";
import { event as eventSubject } from "@sallyport/proto/subjects";
import { AppError } from "@sallyport/runtime";
import { encodeEvent } from "./ingest/evidence.ts";

/** Says on EVENTS that somebody asks the log: before they get the answer, or they get none. */
export interface AccessEvents {
  say(principalId: string, fact: NonNullable<Event["fact"]>): Promise<void>;
}

export function accessEvents(nc: NatsConnection): AccessEvents {
  const js = jetstream(nc);
  return {
    say: async (principalId, fact) => {
      const id = randomUUID();
      try {
        await js.publish(eventSubject("audit", "access", id), encodeEvent(`access/${id}`, principalId, fact));
      } catch (cause) {
        throw new AppError(
          "unavailable",
          "audit.access",
          "The log cannot be asked now: that it is asked could not be recorded.",
          { cause },
        );
      }
    },
  };
}
