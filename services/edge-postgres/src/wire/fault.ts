/**
 * Bytes that do not follow the PostgreSQL frontend/backend protocol, or that are beyond a bound.
 * `sqlstate` is what a client is told: 08P01 (protocol violation), 54000 (too long), 22021 (not UTF-8),
 * 42622 (a name too long).
 */
export class WireFault extends Error {
  readonly sqlstate: "08P01" | "54000" | "22021" | "42622" | "0A000";

  constructor(message: string, sqlstate: WireFault["sqlstate"] = "08P01") {
    super(message);
    this.name = "WireFault";
    this.sqlstate = sqlstate;
  }
}
