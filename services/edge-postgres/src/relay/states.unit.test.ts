import { describe, expect, test } from "vitest";
import { ColumnFlow, CommandFacts } from "@sallyport/proto/verdict";
import { Backend, Frontend } from "../wire/message-table.ts";
import { type Asked, BackendState } from "./backend-state.ts";
import { FrontendState } from "./frontend-state.ts";
import { SessionState } from "./session-state.ts";

const said = (letter: string): number => letter.charCodeAt(0);

describe("the client's side", () => {
  const effects = (state: FrontendState, letters: string): string[] =>
    [...letters].map((letter) => state.next(said(letter), false));

  test("commands are decided, the rest is passed", () => {
    expect(effects(new FrontendState(), "QPBDECHSFX")).toEqual([
      "admit-query",
      "admit-parse",
      "admit-portal",
      "pass-describe",
      "pass-execute",
      "pass-close",
      "pass-flush",
      "pass-sync",
      "admit-function-call",
      "terminate",
    ]);
  });

  test("after a failure of its own cycle everything up to Sync is dropped, a Query too", () => {
    const state = new FrontendState();
    effects(state, "PB");
    state.failed(state.cycle);
    expect(effects(state, "EPQHS")).toEqual(["drop", "drop", "drop", "drop", "pass-sync"]);
    expect(effects(state, "P")).toEqual(["admit-parse"]);
  });

  test("a failure of an earlier cycle drops nothing of this one", () => {
    const state = new FrontendState();
    effects(state, "PBES");
    state.failed(0);
    expect(effects(state, "P")).toEqual(["admit-parse"]);
  });

  test("COPY: data until its end, Sync and Flush ignored, anything else is a violation", () => {
    const state = new FrontendState();
    state.copyInBegan(0);
    expect(effects(state, "ddHSdc")).toEqual(["copy-data", "copy-data", "drop", "drop", "copy-data", "copy-done"]);
    expect(state.phase).toBe("ready");
    state.copyInBegan(0);
    expect(effects(state, "Q")).toEqual(["violation"]);
    expect(effects(state, "d")).toEqual(["drop"]);
  });

  test("COPY data before it is asked for waits while the target owes answers, and is dropped when it does not", () => {
    const state = new FrontendState();
    expect(state.next(Frontend.copyData, true)).toBe("await-answers");
    expect(state.next(Frontend.copyData, false)).toBe("drop");
  });

  test("what a client may not say", () => {
    for (const letter of ["p", "T", "\0"]) expect(effects(new FrontendState(), letter)).toEqual(["violation"]);
  });
});

describe("the target's side", () => {
  const asking = (...replies: (Asked["reply"] | [Asked["reply"], number])[]): BackendState<Asked> => {
    const state = new BackendState<Asked>();
    for (const reply of replies) {
      state.ask(typeof reply === "string" ? { reply, cycle: 0 } : { reply: reply[0], cycle: reply[1] });
    }
    return state;
  };
  const effects = (state: BackendState<Asked>, letters: string): string[] =>
    [...letters].map((letter) => state.next(said(letter)));

  test("a simple query is answered by any number of results and one ReadyForQuery", () => {
    const state = asking("query");
    expect(effects(state, "TDDCICZ")).toEqual([
      "row-description",
      "rows",
      "rows",
      "command-complete",
      "command-complete",
      "command-complete",
      "ready",
    ]);
    expect(state.waiting).toBe(0);
  });

  test("answers are matched in order", () => {
    const state = asking("parse", "bind", "describe-portal", "execute", "close", "sync");
    expect(effects(state, "12TDs3Z")).toEqual([
      "acknowledged",
      "acknowledged",
      "row-description",
      "rows",
      "suspended",
      "acknowledged",
      "ready",
    ]);
  });

  test("an error drops the rest of its pipeline up to Sync, and nothing of the next", () => {
    const state = asking("parse", "bind", "execute", "sync", "parse", "sync");
    expect(effects(state, "1E")).toEqual(["acknowledged", "error"]);
    expect(state.answering?.reply).toBe("bind");
    expect(state.dropped.map((a) => a.reply)).toEqual(["execute"]);
    expect(effects(state, "Z1Z")).toEqual(["ready", "acknowledged", "ready"]);
  });

  test("a query's error leaves its ReadyForQuery to come", () => {
    const state = asking("query", "query");
    expect(effects(state, "TDEZT")).toEqual(["row-description", "rows", "error", "ready", "row-description"]);
  });

  test("asynchronous messages come at any time, and answer nothing", () => {
    const state = asking("query");
    expect(effects(state, "NSA")).toEqual(["notice", "parameter-status", "notification"]);
    expect(state.waiting).toBe(1);
    expect(effects(new BackendState<Asked>(), "NSAE")).toEqual(["notice", "parameter-status", "notification", "error"]);
  });

  test("a Sync behind the Execute of a COPY FROM is ignored by the server", () => {
    const state = asking("execute", "sync");
    expect(effects(state, "G")).toEqual(["copy-in"]);
    state.ask({ reply: "sync", cycle: 0 });
    expect(effects(state, "CZ")).toEqual(["command-complete", "ready"]);
    expect(state.waiting).toBe(0);
  });

  test("what nobody asked for is a violation", () => {
    for (const letter of "TDCZ123tnIsGHWVdcKRv") {
      expect(new BackendState<Asked>().next(said(letter)), letter).toBe("violation");
    }
    for (const [reply, letters] of Object.entries({
      parse: "2TDCZ",
      bind: "1D",
      execute: "TZ1",
      sync: "DC",
      close: "1",
    })) {
      for (const letter of letters)
        expect(asking(reply as Asked["reply"]).next(said(letter)), `${reply} ${letter}`).toBe("violation");
    }
    expect(asking("query").next(Backend.copyBothResponse)).toBe("violation");
  });

  test("many questions do not pile up", () => {
    const state = new BackendState<Asked>();
    for (let i = 0; i < 5000; i++) {
      state.ask({ reply: "parse", cycle: 0 });
      state.ask({ reply: "parse", cycle: 0 });
      state.next(said("1"));
    }
    expect(state.waiting).toBe(5000);
    expect([...state.outstanding()].length).toBe(5000);
  });
});

describe("the session's state at the target", () => {
  const facts = (change: Partial<CommandFacts> = {}): CommandFacts => CommandFacts.fromPartial(change);
  const row = ['["pg_catalog","public"]', "app", "on", "UTF8"];

  test("is known once the target has said it, and the same object until it changes", () => {
    const state = new SessionState();
    expect(state.context).toMatchObject({ searchPath: [], role: "" });
    state.learned(row);
    expect(state.context).toEqual({
      searchPath: ["pg_catalog", "public"],
      role: "app",
      settings: { standard_conforming_strings: "on", client_encoding: "UTF8" },
      named: [],
      schemaTouched: false,
      temporary: [],
    });
    expect(state.context).toBe(state.context);
    state.learned(undefined);
    expect(state.context).toMatchObject({ searchPath: [], role: "" });
    state.learned(["garbage", null, null, null]);
    expect(state.context.searchPath).toEqual([]);
  });

  test("must be asked for again after an effect, after each command of that transaction, and after its end", () => {
    const state = new SessionState();
    state.learned(row);
    state.ready("T");
    state.sent(facts({ sessionEffect: true }));
    expect(state.stale).toBe(true);
    state.learned(row);
    state.sent(facts());
    state.answered(facts(), true);
    expect(state.stale).toBe(true);
    state.learned(row);
    state.ready("I");
    expect(state.stale).toBe(true);
    state.learned(row);
    state.sent(facts());
    state.answered(facts(), true);
    state.ready("I");
    expect(state.stale).toBe(false);
  });

  test("a schema change is in the context until it is observed", () => {
    const state = new SessionState();
    state.ready("T");
    state.sent(facts({ defines: true }));
    expect([state.schemaTouched, state.unobserved]).toEqual([true, false]);
    state.ready("I");
    expect([state.schemaTouched, state.unobserved]).toEqual([true, true]);
    state.observed();
    expect([state.schemaTouched, state.unobserved, state.context.schemaTouched]).toEqual([false, false, false]);
  });

  test("names made in SQL are known only when their command succeeded, and gone when nobody can be sure", () => {
    const named = [{ kind: 1 as const, name: "q", text: "SELECT 1" }];
    const state = new SessionState();
    state.sent(facts({ named }));
    state.answered(facts({ named }), true);
    expect(state.preparedInSql("q")).toBe("SELECT 1");
    const again = [{ kind: 1 as const, name: "q", text: "SELECT 2" }];
    state.sent(facts({ named: again }));
    state.answered(facts({ named: again }), false);
    expect(state.preparedInSql("q")).toBeUndefined();
    state.answered(facts({ named }), true);
    state.sent(facts({ opaque: true }));
    expect(state.preparedInSql("q")).toBeUndefined();
  });

  test.each([
    ["DEALLOCATE q", { verbs: ["deallocate"] }],
    ["DISCARD ALL", { verbs: ["discard"] }],
    ["CLOSE ALL", { verbs: ["close"] }],
    ["code that nobody looked into", { opaque: true }],
    ["a function of a user's", { userCode: true }],
  ])("a name is forgotten once %s is sent", (_, change) => {
    const named = [{ kind: 1 as const, name: "q", text: "SELECT 1" }];
    const state = new SessionState();
    state.answered(facts({ named }), true);
    state.sent(facts({ verbs: ["select"] }));
    expect(state.context.named).toEqual(named);
    const { changes } = state;
    state.sent(facts(change));
    expect(state.context.named).toEqual([]);
    expect(state.changes).toBeGreaterThan(changes);
  });

  test("a name that SQL has made is forgotten once the protocol gives or takes it, a cursor's is not", () => {
    const named = [
      { kind: 1 as const, name: "q", text: "SELECT 1" },
      { kind: 2 as const, name: "q", text: "SELECT 2" },
    ];
    const state = new SessionState();
    state.answered(facts({ named }), true);
    state.renamed("other");
    expect(state.preparedInSql("q")).toBe("SELECT 1");
    state.renamed("q");
    expect(state.preparedInSql("q")).toBeUndefined();
    expect(state.context.named.map(({ kind }) => kind)).toEqual([2]);
  });

  test("whatever a decision depends on counts as a change", () => {
    const state = new SessionState();
    const changes = (what: () => void): boolean => {
      const before = state.changes;
      what();
      return state.changes > before;
    };
    expect(changes(() => state.sent(facts()))).toBe(false);
    expect(changes(() => state.answered(facts(), true))).toBe(false);
    expect(changes(() => state.ready("T"))).toBe(false);
    expect(changes(() => state.sent(facts({ sessionEffect: true })))).toBe(true);
    expect(changes(() => state.learned(row))).toBe(true);
    expect(changes(() => state.answered(facts(), true))).toBe(true);
    expect(changes(() => state.sent(facts({ defines: true })))).toBe(true);
    expect(changes(() => state.ready("I"))).toBe(true);
    expect(changes(() => state.observed())).toBe(true);
    expect(changes(() => state.mustObserve(1e9))).toBe(true);
    expect(changes(() => state.reported("client_encoding", "LATIN1"))).toBe(true);
  });

  test("what the server reports counts in a failed transaction too, where nothing can be asked", () => {
    const state = new SessionState();
    state.learned(row);
    state.ready("T");
    state.reported("standard_conforming_strings", "off");
    state.ready("E");
    state.learned(undefined);
    expect(state.context).toMatchObject({
      searchPath: [],
      role: "",
      settings: { standard_conforming_strings: "off", client_encoding: "UTF8" },
    });
  });

  test("names are bounded", () => {
    const state = new SessionState();
    for (let i = 0; i < 400; i++) {
      state.answered(facts({ named: [{ kind: 1, name: `q${i}`, text: "x".repeat(10_000) }] }), true);
    }
    expect(state.context.named.length).toBeLessThanOrEqual(104);
    expect(state.preparedInSql("q399")).toBeDefined();
  });

  test.each([
    [{ opaque: true }, true],
    [{ userCode: true }, true],
    [{ defines: true, sessionEffect: true }, false],
  ])("that code has run which nobody looked into stays known: %j", (change, ran) => {
    const state = new SessionState();
    expect(state.codeRan).toBe(false);
    state.sent(facts(change));
    state.answered(facts(change), false);
    state.ready("I");
    expect(state.codeRan).toBe(ran);
  });

  test("what was copied into temporary tables is known for as long as the session, and once", () => {
    const state = new SessionState();
    const flow = (column: string, temporary = true): ColumnFlow =>
      ColumnFlow.fromPartial({ relation: "t", column, temporary, sources: [{ relationOid: 20_001, number: 3 }] });
    state.sent(facts({ flows: [flow("a"), flow("b", false)] }));
    expect(state.context.temporary).toEqual([flow("a")]);
    const { changes, context } = state;
    state.sent(facts({ flows: [flow("a")] }));
    expect([state.changes, state.context]).toEqual([changes, context]);
    state.answered(facts({ flows: [flow("a")] }), false);
    state.ready("I");
    expect(state.context.temporary).toEqual([flow("a")]);
    // More than are kept: then no analysis of this session's statements counts any more.
    for (let i = 0; i < 1_100; i++) state.sent(facts({ flows: [flow(`c${i}`)] }));
    expect(state.context).toMatchObject({ temporary: [], schemaTouched: true });
    state.ready("I");
    state.observed();
    expect(state.context.schemaTouched).toBe(true);
  });

  test("observation is tried again only after a while", () => {
    const state = new SessionState();
    expect([state.mayObserve(100), state.mayObserve(9_000), state.mayObserve(10_101)]).toEqual([true, false, true]);
    state.mustObserve(20_000);
    state.observed();
    state.mustObserve(21_000);
    expect(state.unobserved).toBe(false);
    state.mustObserve(26_000);
    expect(state.unobserved).toBe(true);
  });
});
