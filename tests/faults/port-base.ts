import { DEFAULT_PORTS, shifted, takenPorts } from "@sallyport/local/ports";

/** All shifted ports lie below those that the kernel gives to whoever asks for any (ip_local_port_range, 32768 and above). */
const HIGHEST = 15_000;

/** What `--port-base` can be set to so that nobody listens on any port. Test files that run in turn may get the same one. */
export async function freePortBase(): Promise<number> {
  for (let base = HIGHEST; base > 0; base -= 250) {
    if ((await takenPorts(shifted(DEFAULT_PORTS, base))).length === 0) return base;
  }
  throw new Error("every range of ports is taken");
}
