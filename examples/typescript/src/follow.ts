import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { ClientError, Status } from "nice-grpc";
import { type Client, connectTo, environ } from "./client.js";

/** What a caller sees: calls, and a watch that goes on with its cursor after each break. */
const nothing = () => ({
  calls: 0,
  failed: {} as Record<string, number>,
  longest_ms: 0,
  breaks: {} as Record<string, number>,
  events: 0,
});
let seen = nothing();

/** Call and watch several nodes; each line on standard input prints what was seen since the last. */
export async function follow(): Promise<void> {
  const client = connectTo(`ipv4:${environ("GRPC_ADDRESS")}`, environ("API_KEY"));
  const ending = new AbortController();
  const cursor = await currentCursor(client);
  const work = [call(client, ending.signal), watch(client, cursor, ending.signal)];
  console.log("following");
  for await (const _ of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(seen));
    seen = nothing();
  }
  ending.abort();
  await Promise.all(work);
  client.close();
}

/** The position now: that of a watch's first message. */
async function currentCursor(client: Client): Promise<string> {
  for await (const message of client.profiles.watchConnections({}, { deadline: 30_000 })) {
    return message.cursor;
  }
  throw new Error("the stream ended");
}

async function call(client: Client, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const begun = performance.now();
    seen.calls += 1;
    try {
      await client.profiles.getProfile({ profileKey: environ("PROFILE") }, { deadline: 5000 });
    } catch (error) {
      count(seen.failed, error);
    }
    seen.longest_ms = Math.max(seen.longest_ms, Math.round(performance.now() - begun));
    await sleep(50);
  }
}

async function watch(client: Client, cursor: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const message of client.profiles.watchConnections({ cursor }, { signal })) {
        seen.events += message.events.length;
        cursor = message.cursor;
      }
      count(seen.breaks, undefined);
    } catch (error) {
      if (signal.aborted) return;
      count(seen.breaks, error);
    }
    await sleep(200);
  }
}

function count(into: Record<string, number>, error: unknown): void {
  const code = error instanceof ClientError ? (Status[error.code] ?? "") : "end";
  into[code] = (into[code] ?? 0) + 1;
}
