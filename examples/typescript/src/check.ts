import { Status } from "nice-grpc";
import { ConnectionEvent_Kind, ReconnectReason } from "../gen/postcore/profiles/v1/profile.js";
import type { WatchConnectionsResponse } from "../gen/postcore/profiles/v1/profile_service.js";
import { connect, next, post } from "./calls.js";
import { connectTo, environ } from "./client.js";
import { type Refusal, refusal } from "./refusal.js";

const HANDLE = "user.bsky.social";
const APP_PASSWORD = "abcd-efgh-ijkl-mnop";

/** Run every check against the sandbox, and print a line for each. */
export async function check(): Promise<void> {
  const address = environ("GRPC_ADDRESS");
  const client = connectTo(address, environ("API_KEY"));
  const stranger = connectTo(address, "pc_live_unknown");
  const { platforms, profiles } = client;
  let checks = 0;
  let failed = 0;
  const verify = (name: string, right: boolean, seen: unknown) => {
    checks += 1;
    if (!right) failed += 1;
    console.log(`${right ? "ok  " : "FAIL"} ${name}: ${seen}`);
  };
  /** Check that a call is refused for a reason; return how. */
  const isRefused = async (name: string, call: Promise<unknown>, reason: string) => {
    const known: Refusal = await refusal(call);
    verify(name, known.reason === reason, known);
    return known;
  };

  try {
    const listed = await platforms.listPlatforms({}, { deadline: 10_000 });
    verify("platforms", listed.platforms.length > 0, listed.platforms.length);

    await isRefused("wrong key", stranger.platforms.listPlatforms({}), "INVALID_API_KEY");

    const wrong = profiles.listProfiles({ pageSize: -1 });
    const { fields } = await isRefused("wrong field", wrong, "INVALID_REQUEST");
    verify("its name", "page_size" in fields, JSON.stringify(fields));

    const oauth = profiles.connectProfile({ platform: "linkedin" });
    await isRefused("OAuth platform", oauth, "USE_GET_FOR_OAUTH");

    const guess = connect(client, HANDLE, "aaaa-bbbb-cccc-dddd");
    const { metadata } = await isRefused("refused password", guess, "INVALID_CREDENTIALS");
    verify("its cause", metadata.cause === "REJECTED_BY_PLATFORM", metadata.cause);

    const limited = connect(client, "alice.test", "alic-eapp-pass-word"); // by the sandbox
    const busy = await isRefused("busy platform", limited, "PLATFORM_RATE_LIMITED");
    verify("when to retry", (busy.retryAfterMs ?? 0) >= 1000, `${busy.retryAfterMs} ms`);

    const late = async () => {
      for await (const _ of profiles.watchConnections({}, { deadline: 100 }));
    };
    const { code } = await refusal(late());
    verify("deadline", code === Status.DEADLINE_EXCEEDED, Status[code]);

    const named = await profiles.createProfile({ profileName: "Shop" }, { deadline: 10_000 });
    verify("set field", named.profileName === "Shop", named.profileName);
    const { profileKey, username } = await connect(client, HANDLE, APP_PASSWORD);
    verify("connect", username === HANDLE, username);
    const { profile } = await profiles.getProfile({ profileKey }, { deadline: 10_000 });
    const isUnset = profile !== undefined && profile.profileName === undefined;
    verify("unset field", isUnset, profile?.profileName);

    const broken = await profiles.getProfile({ profileKey: environ("BROKEN_PROFILE") });
    for (const { needsReconnect, reconnectReason: reason } of broken.profile?.connectedPlatforms ??
      []) {
      // a number without a name, where these stubs are older
      const shown = reason === undefined ? "" : (ReconnectReason[reason] ?? reason);
      verify("broken connection", needsReconnect && Number(reason) === 8, shown);
    }

    const uri = await post(client, profileKey, "Hello from TypeScript");
    verify("lease and post", uri.startsWith("at://"), uri);

    const first = await next(client, "", () =>
      profiles.disconnectPlatform({ profileKey, platform: "bluesky" }, { deadline: 10_000 }),
    );
    verify("watch", isDisconnect(first.message, profileKey), first.message.events.length);
    const again = await next(client, first.cursor);
    const isSame = again.message.cursor === first.message.cursor;
    verify("resumed watch", isDisconnect(again.message, profileKey), isSame);
  } finally {
    client.close();
    stranger.close();
  }
  console.log(`${checks} checks, ${failed} failed`);
  if (failed) process.exitCode = 1;
}

function isDisconnect(message: WatchConnectionsResponse, profileKey: string): boolean {
  const [event] = message.events;
  return event?.kind === ConnectionEvent_Kind.KIND_DISCONNECTED && event.profileKey === profileKey;
}
