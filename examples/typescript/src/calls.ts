import { randomUUID } from "node:crypto";
import type { WatchConnectionsResponse } from "../gen/postcore/profiles/v1/profile_service.js";
import type { Client } from "./client.js";

/** Make a profile for the account: `profileKey` is left out. */
export function connect(client: Client, handle: string, appPassword: string) {
  return client.profiles.connectProfile(
    {
      platform: "bluesky",
      credentials: { handle, appPassword },
      idempotencyKey: randomUUID(), // the same for each retry
    },
    { deadline: 30_000 },
  );
}

/**
 * Lease a session and post at the account's own server; return the URI of the post.
 *
 * The account's owner named that server: follow no redirects, and limit time and size.
 */
export async function post(client: Client, profileKey: string, text: string): Promise<string> {
  const lease = await client.sessions.leaseSession(
    { profileKey, platform: "bluesky" },
    { deadline: 10_000 },
  );
  const collection = "app.bsky.feed.post";
  const record = { $type: collection, text, createdAt: new Date().toISOString() };
  const answer = await fetch(`${lease.serviceEndpoint}/xrpc/com.atproto.repo.createRecord`, {
    method: "POST",
    redirect: "error",
    signal: AbortSignal.timeout(10_000),
    headers: {
      authorization: `Bearer ${lease.accessToken}`,
      "content-type": "application/json",
    },
    body: JSON.stringify({ repo: lease.accountId, collection, record }),
  });
  const posted = JSON.parse(await limitedText(answer, 65_536));
  if (!answer.ok) throw new Error(`not posted: ${answer.status} ${posted.error}`);
  return posted.uri;
}

async function limitedText(answer: Response, maxBytes: number): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of answer.body ?? []) {
    size += part.length;
    if (size > maxBytes) throw new Error("the server's answer is too long");
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

/**
 * Read the stream from `cursor` up to the first message with events, and end the stream.
 *
 * Without a cursor the stream begins now; `begin` is called when it does. Store the message's
 * cursor once its events are applied.
 */
export async function next(
  client: Client,
  cursor: string,
  begin: () => Promise<unknown> = async () => undefined,
): Promise<{ message: WatchConnectionsResponse; cursor: string }> {
  const ending = new AbortController();
  try {
    for await (const message of client.profiles.watchConnections(
      { cursor },
      { signal: ending.signal },
    )) {
      if (message.events.length) return { message, cursor };
      cursor = message.cursor;
      await begin();
    }
    throw new Error("the stream ended");
  } finally {
    ending.abort();
  }
}
