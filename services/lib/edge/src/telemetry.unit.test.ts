import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { expect, onTestFinished, test } from "vitest";
import { CommandCompleted_Status } from "@sallyport/proto/record";
import { Outcome, type Verdict } from "@sallyport/proto/verdict";
import { signedVerdict } from "../testing/recording-only.ts";
import { testSession, textUnit } from "../testing/live-session.ts";
import type { PolicyQuestion } from "./links.ts";
import type { Forward } from "./outcome.ts";
import { EdgeTelemetry } from "./telemetry.ts";

async function traced(verdict: Partial<Verdict>) {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  const questions: PolicyQuestion[] = [];
  const made = await testSession({
    tracer: provider.getTracer("test"),
    links: {
      policy: {
        async check(question) {
          questions.push(question);
          return signedVerdict(question, verdict);
        },
      },
    },
  });
  made.bus.automatic = true;
  onTestFinished(() => made.lane.close());
  return { ...made, questions, names: () => exporter.getFinishedSpans().map(({ name }) => name), spans: exporter };
}

test("one trace from the command over policy to the log", async () => {
  const { live, bus, questions, names, spans } = await traced({});
  const decision = (await live.gate.decide(textUnit("select 1"))) as Forward;
  await new Promise<void>((resolve) => live.gate.admit(decision, () => resolve()));
  live.gate.completed(decision.command, { status: CommandCompleted_Status.STATUS_OK });
  expect(names()).toEqual(["decide", "record", "forward", "command"]);
  const ids = new Set(spans.getFinishedSpans().map((span) => span.spanContext().traceId));
  expect(ids.size).toBe(1);
  const [id] = [...ids];
  expect(questions[0]?.traceparent).toContain(id);
  const admitted = bus.records().find(({ kind }) => kind === "commandAdmitted")?.body.fact;
  expect(admitted?.value).toMatchObject({ traceId: id });
  expect(bus.traces[0]).toContain(id);
  // the text and its values are in no span
  expect(JSON.stringify(spans.getFinishedSpans().map(({ attributes, name }) => [name, attributes]))).not.toContain(
    "select",
  );
});

test("a denied command's trace ends with the decision", async () => {
  const { live, names } = await traced({ outcome: Outcome.OUTCOME_DENY });
  await live.gate.decide(textUnit("select 1"));
  expect(names()).toEqual(["decide", "command"]);
});

test("without a tracer there is no trace", async () => {
  const { lane } = await traced({});
  expect(new EdgeTelemetry({}, "test", lane, () => 0).beginCommand()).toBeUndefined();
});
