import type { RevokeRequest } from "@sallyport/proto/identity";
import { bearer, call } from "@sallyport/cli/api";
import { connected } from "../clients.ts";
import type { Sallyport } from "../contenders/sallyport.ts";

/**
 * ms from asking for the withdrawal until the session's connection is closed: a token's several times, then the whole
 * principal's, who is reinstated afterwards.
 */
export async function measureWithdrawals(
  sallyport: Sallyport,
  times: number,
): Promise<{ tokens: number[]; principal: number }> {
  const { api, profile } = sallyport;
  const contractor = bearer(profile("contractor").token);
  const tokens: number[] = [];
  for (let i = 0; i < times; i++) {
    const request = { label: `bench-${i}`, ttlSeconds: 600, actor: "" };
    const { token } = await call(api.access, api.access.createToken, request, contractor);
    if (token === undefined) throw new Error("no token was made");
    tokens.push(await untilEnded(sallyport, token.token, { $case: "tokenId", value: token.tokenId }));
  }
  const principalId = profile("contractor").principal;
  const principal = await untilEnded(sallyport, profile("contractor").token, {
    $case: "principalId",
    value: principalId,
  });
  await call(
    api.access,
    api.access.reinstate,
    { principalId, reason: "the benchmark is done" },
    bearer(profile("security").token),
  );
  await sallyport.signIn();
  return { tokens, principal };
}

async function untilEnded(sallyport: Sallyport, token: string, what: RevokeRequest["what"]): Promise<number> {
  const { api, profile } = sallyport;
  const client = await connected({ ...sallyport.envOf("contractor", true), PGPASSWORD: token });
  const ended = new Promise<number>((resolve) => client.once("end", () => resolve(performance.now())));
  const started = performance.now();
  await call(api.access, api.access.revoke, { what, reason: "benchmark" }, bearer(profile("security").token));
  const late = new Promise<never>((_, reject) =>
    setTimeout(() => reject(new Error("the session still lives 10 s after its withdrawal")), 10_000).unref(),
  );
  return (await Promise.race([ended, late])) - started;
}
