import { TokenKind } from "@sallyport/proto/principal";
import type { Principal } from "@sallyport/proto/principal";
import { AuthorizeRequest } from "@sallyport/proto/policy";
import { afterEach, beforeAll, expect, test } from "vitest";
import { demoConfiguration, demoPolicies, NOW, openWorld, person } from "../testing/world.ts";
import type { World } from "../testing/world.ts";
import { authorize } from "./authorize.ts";

let world: World | undefined;
// The first world compiles two WebAssembly modules.
beforeAll(async () => (await openWorld()).close(), 60_000);
afterEach(() => world?.close());

/** Asks the demo's policies, and `more`. */
async function asking(more = "") {
  world = await openWorld({ policies: [...demoPolicies(), { path: "policies/test.cedar", text: more }] });
  const { state } = world;
  return (principal: Principal, action: string, resource = "", connection = "") =>
    authorize(AuthorizeRequest.fromPartial({ principal, action, resource, connection }), {
      published: state.published,
      nowMs: NOW,
      timeZone: "UTC",
    });
}

const revealed = (answer: ReturnType<typeof authorize>): string[] => answer.revealedClasses.toSorted();

test("what is revealed on one connection only is revealed there, and not in general", async () => {
  const may = await asking(`@id("dev") permit (principal, action == Action::"reveal", resource == Class::"email")
    when { context has connection && context.connection in Label::"env=development" };`);
  const engineer = person("engineer");
  expect(revealed(may(engineer, "reveal", "", "sandbox"))).toEqual(["email"]);
  expect(revealed(may(engineer, "reveal", "", "orders"))).toEqual([]);
  expect(revealed(may(engineer, "reveal"))).toEqual([]);
  expect(may(engineer, "reveal", "email", "sandbox").allowed).toBe(true);
  expect(may(engineer, "reveal", "email", "orders").allowed).toBe(false);
});

test("what is hidden on one connection is hidden from whoever names none, or one that is gone", async () => {
  const may =
    await asking(`@id("hide") forbid (principal, action == Action::"reveal", resource == Class::"statement-text")
    when { context has connection && context.connection in Label::"env=production" };`);
  const security = person("security");
  expect(revealed(may(security, "reveal", "", "sandbox"))).toEqual(["statement-text"]);
  for (const connection of ["orders", "", "removed"]) {
    expect([connection, revealed(may(security, "reveal", "", connection))]).toEqual([connection, []]);
    expect(may(security, "reveal", "statement-text", connection)).toMatchObject({
      allowed: false,
      determining: ["hide"],
    });
  }
});

test("what is permitted nowhere in particular is permitted everywhere", async () => {
  const may = await asking();
  for (const connection of ["", "orders", "sandbox", "removed"])
    expect(revealed(may(person("dba"), "reveal", "", connection))).toEqual(["email", "phone", "statement-text"]);
});

test("a personal token neither configures nor revokes, whoever made it", async () => {
  const may = await asking();
  for (const name of ["dba", "security"]) {
    const stolen = person(name, { tokenKind: TokenKind.TOKEN_KIND_PERSONAL, tokenLabel: "ci" });
    for (const action of ["configure", "revoke"]) {
      expect(may(stolen, action)).toMatchObject({
        allowed: false,
        determining: ["no-gateway-changes-by-personal-token"],
      });
    }
  }
  expect(may(person("security"), "configure").allowed).toBe(true);
  expect(may(person("security"), "revoke").allowed).toBe(true);
  // those who approve could otherwise rewrite what asks them
  expect(may(person("dba"), "configure").allowed).toBe(false);
  // what it is for
  const token = { tokenKind: TokenKind.TOKEN_KIND_PERSONAL };
  expect(may(person("contractor", token), "connect", "orders").allowed).toBe(true);
});

test("a configuration without policies permits nothing", async () => {
  const may = await asking();
  world?.configure(demoConfiguration([]));
  expect(may(person("dba"), "reveal", "", "orders").allowed).toBe(false);
});
