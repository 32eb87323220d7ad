// What a repair costs beyond what lemond itself takes: from a request onto a dead slot to its answer.
import { startBinary } from "../binary.ts";
import { startLemond } from "../lemond/index.ts";
import { requestBody } from "./load.ts";
import { median } from "./report.ts";

export interface Recovery {
  readonly generation: string;
  readonly waiting: number;
  /** Of the last of the waiting requests to be answered. */
  readonly totalMs: number;
  readonly lemondMs: number;
  readonly addedMs: number;
}

const ROUNDS = 7;

/** Both generations of the simulated Lemonade, with 1 and with 128 requests waiting. Throws where a request is not answered. */
export async function measureRecovery(): Promise<Recovery[]> {
  const results: Recovery[] = [];
  for (const version of ["11.7", "10.6"] as const) {
    await using lemond = await startLemond({ version, loadMs: 300, unloadMs: 100 });
    await lemond.load("tiny-a");
    await using server = await startBinary({ args: ["--port", "0", "--lemonade", lemond.url] });
    for (const waiting of [1, 128]) {
      const total: number[] = [];
      const own: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        own.push(await lemondAlone(lemond, version === "10.6"));
        await answered(server.url, 1);
        await lemond.child("tiny-a")?.kill();
        // 11.7 drops a dead child within milliseconds; a request that came before would need the unload as well.
        for (let looks = 0; version === "11.7" && lemond.listed().length > 0; looks++) {
          if (looks > 1000) throw new Error("lemond still lists the dead child");
          await Bun.sleep(1);
        }
        total.push(await answered(server.url, waiting));
      }
      const [totalMs, lemondMs] = [median(total), median(own)];
      results.push({ generation: version, waiting, totalMs, lemondMs, addedMs: totalMs - lemondMs });
    }
  }
  return results;
}

/** The same calls that a repair makes, by hand: a load, and on 10.6 the unload before it. */
async function lemondAlone(lemond: Awaited<ReturnType<typeof startLemond>>, wantsUnload: boolean): Promise<number> {
  const began = performance.now();
  await (await lemond.unload("tiny-a")).arrayBuffer();
  const unloaded = performance.now();
  await (await lemond.load("tiny-a")).arrayBuffer();
  return performance.now() - (wantsUnload ? began : unloaded);
}

async function answered(url: string, count: number): Promise<number> {
  const began = performance.now();
  const body = requestBody(false).replace('"bench"', '"tiny-a"');
  const statuses = await Promise.all(
    Array.from({ length: count }, async () => {
      const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", body });
      await response.arrayBuffer();
      return response.status;
    }),
  );
  if (statuses.some((status) => status !== 200))
    throw new Error(`a request was answered ${statuses.find((status) => status !== 200)}`);
  return performance.now() - began;
}
