/** A lane on a bus in memory, and sessions on it. */
import { Lane, type LaneSettings } from "../src/recorder/lane.ts";
import { SessionRecorder, type RecorderOwner } from "../src/recorder/session-recorder.ts";
import { MemoryBus } from "./memory-bus.ts";

export interface TestLane {
  bus: MemoryBus;
  lane: Lane;
  states: string[];
  session(id: string, owner?: Partial<RecorderOwner>): SessionRecorder;
  /** lets the lane's own turn happen */
  turn(): Promise<void>;
}

export function testLane(settings: Partial<LaneSettings> = {}): TestLane {
  const bus = new MemoryBus();
  const states: string[] = [];
  const lane = new Lane({ edge: "edge-test-1", lane: 3, epoch: 1_700_000_000_000 }, bus, settings, (state) => {
    states.push(state);
  });
  return {
    bus,
    lane,
    states,
    session(id, owner = {}) {
      const session = new SessionRecorder(
        lane,
        {
          sessionId: id,
          principalId: "user:engineer",
          actors: ["workload:ci"],
          connection: "orders",
          protocol: "test",
        },
        {
          relieved() {},
          busFailed() {},
          fault(error) {
            throw error;
          },
          ...owner,
        },
      );
      lane.join(session);
      return session;
    },
    turn: () => new Promise((resolve) => setImmediate(() => setImmediate(resolve))),
  };
}
