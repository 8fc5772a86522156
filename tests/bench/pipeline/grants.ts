import { bearer, call } from "@sallyport/cli/api";
import { connected } from "../clients.ts";
import type { Sallyport } from "../contenders/sallyport.ts";

/**
 * A held command each time: ms from the answer to the approver until the requester has the result, so that asking the
 * grant, using it, deciding again, recording and executing are all in it.
 */
export async function measureGrants(sallyport: Sallyport, times: number): Promise<number[]> {
  const client = await connected(sallyport.envOf("engineer", true));
  try {
    const took: number[] = [];
    for (let i = 0; i < times; i++) {
      const held = Promise.withResolvers<string>();
      const onNotice = ({ message = "" }: { message?: string | undefined }): void => {
        held.resolve(message);
      };
      client.once("notice", onNotice);
      const result = client.query(`DELETE FROM errands WHERE id = ${i + 1}`).then(() => performance.now());
      // whoever is not held is told so here; and `result` may not reject unheard
      await Promise.race([held.promise, result.then(() => Promise.reject(new Error("the command was not held")))]);
      const granted = await grant(sallyport);
      took.push((await result) - granted);
    }
    return took;
  } finally {
    await client.end();
  }
}

/** Grants the one request that waits; performance.now() at the answer. */
async function grant({ api, profile }: Sallyport): Promise<number> {
  const as = bearer(profile("dba").token);
  const { approvals } = await call(api.approvals, api.approvals.list, { all: false }, as);
  const [waiting, ...others] = approvals;
  if (waiting === undefined || others.length > 0) throw new Error(`${approvals.length} requests wait, not one`);
  await call(api.approvals, api.approvals.decide, { approvalId: waiting.approvalId, grant: true, reason: "bench" }, as);
  return performance.now();
}
