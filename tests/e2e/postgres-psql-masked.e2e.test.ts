import { expect, inject, test } from "vitest";
import { psqlAs } from "../harness/clients.ts";

const gateway = inject("gateway");

test("a SELECT answers with e-mail, phone and card number masked, also inside notes", async () => {
  const result = await psqlAs(
    gateway,
    "engineer",
    "orders",
    "SELECT name, email, phone, card_number, notes FROM customers WHERE id = 4",
  );
  expect(result.err).toBe("");
  expect(result.code).toBe(0);
  expect(result.out).toContain("Emil Abel");
  for (const hidden of ["emil.abel4@example.com", "emil4@example.org", "202 555 0004", "4000000000316762"]) {
    expect(result.out).not.toContain(hidden);
  }
});

test("an expression over a hidden column is hidden", async () => {
  const result = await psqlAs(
    gateway,
    "engineer",
    "orders",
    "SELECT upper(email), substr(card_number, 13), customers FROM customers WHERE id = 4",
  );
  expect(result.code).toBe(0);
  for (const hidden of ["EMIL.ABEL4@EXAMPLE.COM", "6762", "emil.abel4@example.com"])
    expect(result.out).not.toContain(hidden);
});

test("a view's column is as hidden as the column it shows", async () => {
  const result = await psqlAs(gateway, "engineer", "orders", "SELECT contact FROM customer_contacts WHERE id = 4");
  expect(result.code).toBe(0);
  expect(result.out).not.toContain("emil.abel4@example.com");
});

test("an error text does not carry a hidden value", async () => {
  const result = await psqlAs(gateway, "engineer", "orders", "SELECT email::integer FROM customers WHERE id = 4");
  expect(result.code).not.toBe(0);
  expect(result.err).toContain("22P02");
  expect(result.err).not.toContain("emil.abel4");
});

test("what carries nothing hidden passes as it is", async () => {
  const result = await psqlAs(gateway, "engineer", "orders", "SELECT count(*) FROM orders WHERE id <= 5", "-At");
  expect(result).toMatchObject({ code: 0, out: "5\n" });
});

test("a count of rows carries nothing that is stored, whatever they hold", async () => {
  const result = await psqlAs(gateway, "engineer", "orders", "SELECT count(*) FROM customers", "-At");
  expect(result).toMatchObject({ code: 0, out: "5000\n", err: "" });
});

test("what is computed from a hidden column is masked, and its reader is told so", async () => {
  const result = await psqlAs(
    gateway,
    "engineer",
    "orders",
    "SELECT count(*), max(length(email)) FROM customers",
    "-At",
  );
  expect(result).toMatchObject({ code: 0, out: "5000|\n" });
  expect(result.err).toMatch(/^NOTICE: {2}00000: 1 column of this result is masked whole \(max\): it is computed/);
});
