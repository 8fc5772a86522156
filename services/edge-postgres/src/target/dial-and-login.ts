import type { Connection, TargetRole } from "@sallyport/proto/catalog_model";
import { AppError, resolveSecret } from "@sallyport/runtime";
import { encodeCancelRequest } from "../wire/startup.ts";
import type { Dial } from "./dial.ts";
import { logIn, type TargetConnection } from "./login.ts";
import { TargetFault } from "./target-fault.ts";

/** How long reaching a target and logging in to it may take together, ms. */
export const TARGET_LOGIN_MS = 8_000;
const CANCEL_MS = 3_000;

export interface TargetRequest {
  readonly connection: Connection;
  /** default: the connection's own, for what the gateway itself asks */
  readonly role?: TargetRole;
  readonly database: string;
  readonly parameters: readonly (readonly [string, string])[];
}

/** Dials and logs in with the connection's own credential, resolved for this moment only. Throws TargetFault. */
export async function reachTarget(dial: Dial, request: TargetRequest, signal: AbortSignal): Promise<TargetConnection> {
  const role = request.role ?? roleOf(request.connection);
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(TARGET_LOGIN_MS)]);
  try {
    const password =
      role.passwordRef === "" ? undefined : await resolveSecret(role.passwordRef, "the target's password");
    const dialled = await dial(request.connection, role, inTime);
    const { database, parameters } = request;
    return await logIn(dialled, { user: role.user, database, password, parameters }, inTime);
  } catch (error) {
    if (error instanceof AppError) throw new TargetFault(error.code, error.message, { cause: error });
    throw error;
  }
}

export function roleOf(connection: Connection): TargetRole {
  if (connection.role === undefined) {
    throw new TargetFault("failed-precondition", `connection ${connection.name} has no role at its target`);
  }
  return connection.role;
}

export interface SessionRole {
  readonly role: TargetRole;
  /** there is another for those who may not write */
  readonly forWriters: boolean;
}

/**
 * As whom a session is logged in: whom policy could not let write gets the read role, so that the target is a second wall.
 * A read role that cannot be used is an error, never a way to the other.
 */
export function sessionRole(connection: Connection, mayWrite: boolean): SessionRole {
  const { readRole } = connection;
  if (readRole !== undefined && !mayWrite) return { role: readRole, forWriters: false };
  return { role: roleOf(connection), forWriters: readRole !== undefined };
}

/** The login that a cancel request is for. */
export interface CancelTarget {
  readonly connection: Connection;
  readonly role: TargetRole;
  readonly key: TargetConnection["key"];
}

/** Asks the target to cancel what the login with `key` is doing. Best effort, as the protocol has it (section 54.2.8). */
export async function cancelAt(dial: Dial, { connection, role, key }: CancelTarget): Promise<void> {
  try {
    const signal = AbortSignal.timeout(CANCEL_MS);
    const { socket } = await dial(connection, role, signal);
    socket.end(encodeCancelRequest(key.processId, key.secret));
    // The server answers by closing.
    socket.resume();
    const late = setTimeout(() => socket.destroy(), CANCEL_MS);
    await new Promise<void>((resolve) => socket.once("close", () => resolve()));
    clearTimeout(late);
  } catch {
    // The target is gone or busy: the session's own end goes on.
  }
}
