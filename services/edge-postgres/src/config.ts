import { z } from "zod";
import { baseConfig, hostPort } from "@sallyport/runtime";

const positive = z.number().int().positive();

/** The edge's configuration file; see the README for an example. Unknown keys are refused. */
export const configSchema = z.strictObject({
  ...baseConfig,
  /** where clients connect */
  listen: hostPort,
  tls: z.strictObject({
    /** `optional` lets clients send their token in clear: for a loopback or a mesh that encrypts by itself */
    mode: z.enum(["required", "optional"]).default("required"),
    /** PEM files */
    cert: z.string().min(1),
    key: z.string().min(1),
  }),
  /** place on the bus: frames.<partition>.<instance>.<lane> */
  partition: z.number().int().min(0).max(1023).default(0),
  lane: z.number().int().min(0).max(1023).default(0),
  /** other edges of this deployment, whose cancel keys are passed on */
  siblings: z.array(z.string().min(1)).default([]),
  /** what an acknowledgement of the bus survives: `process`, or `power-loss` with sync_interval always and replicas */
  durability: z.enum(["process", "power-loss"]).default("process"),
  /** from the first byte to the token, seconds */
  handshakeSeconds: positive.max(600).default(10),
  limits: z
    .strictObject({
      sessions: positive.default(2_000),
      /** connections that have not logged in yet */
      handshakes: positive.default(512),
      /** of one statement's text, bytes */
      textBytes: positive.default(256 * 1024),
      /** of one command with its parameters, bytes */
      commandBytes: positive.max(1024 * 1024 * 1024).default(16 * 1024 * 1024),
      /** of one session, not acknowledged or not taken by the client, bytes */
      sessionBytes: positive.default(1024 * 1024),
      /** of the lane, not acknowledged, bytes */
      laneBytes: positive.default(32 * 1024 * 1024),
    })
    .prefault({}),
});
