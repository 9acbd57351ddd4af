import { createClientFactory, Status } from "nice-grpc";
import { errorDetailsClientMiddleware } from "nice-grpc-error-details";
import { ConnectionState } from "../gen/postcore/profiles/v1/profile.js";
import {
  ListProfilesRequest,
  ListProfilesResponse,
} from "../gen/postcore/profiles/v1/profile_service.js";
import { connect } from "./calls.js";
import { connectTo, environ } from "./client.js";
import { Refusal, refused } from "./refusal.js";

/**
 * Show what a user of TypeScript sees of each bad input, a line of JSON each.
 *
 * POSTCORE_FUTURE_ADDRESS is a server of a later version. When "watching" is printed, the other
 * server stops.
 */
export async function refusals(): Promise<void> {
  const [address, apiKey] = [environ("GRPC_ADDRESS"), environ("API_KEY")];
  const client = connectTo(address, apiKey);
  const stranger = connectTo(address, "pc_live_unknown");
  const future = connectTo(environ("FUTURE_ADDRESS"), apiKey);
  const show = async (name: string, call: Promise<unknown>) => {
    const error: unknown = await call.then(
      () => undefined,
      (failed: unknown) => failed,
    );
    const known = refused(error);
    const { code, reason } = known instanceof Refusal ? known : { code: Status.OK, reason: "" };
    console.log(JSON.stringify({ case: name, code: Status[code], reason, text: String(error) }));
  };

  await show("wrong key", stranger.profiles.listProfiles({}));
  await show("refused password", connect(client, "user.bsky.social", "aaaa-bbbb-cccc-dddd"));
  await show("OAuth platform", client.profiles.connectProfile({ platform: "linkedin" }));
  await show("expired deadline", watch({ deadline: 100 }));
  const long = { profileKey: "x".repeat(64 * 1024 - 3) };
  await show("message of 64 KiB + 1", client.profiles.getProfile(long));
  const unknown = createClientFactory()
    .use(errorDetailsClientMiddleware)
    .create({ unknown: UNKNOWN }, client.channel);
  await show("unknown method", unknown.unknown(ListProfilesRequest.create()));
  await show("unknown reason", future.profiles.listProfiles({}));
  const { profile } = await future.profiles.getProfile({});
  const state = profile?.connectedPlatforms[0]?.state ?? 0;
  console.log(
    JSON.stringify({
      case: "unknown enum value",
      code: "OK",
      reason: "",
      text: `${state}, whose name is ${ConnectionState[state]}`,
    }),
  );

  await show("server stops in a watch", watch({}, "watching"));

  async function watch(options: { deadline?: number }, begun?: string): Promise<void> {
    let watching = false;
    for await (const _ of client.profiles.watchConnections({}, options)) {
      if (!watching && begun) console.log(begun);
      watching = true;
    }
  }
}

/** A method that no server has. */
const UNKNOWN = {
  path: "/postcore.profiles.v1.ProfileService/Unknown",
  requestStream: false,
  responseStream: false,
  requestSerialize: (value: ListProfilesRequest) => ListProfilesRequest.encode(value).finish(),
  requestDeserialize: (bytes: Uint8Array) => ListProfilesRequest.decode(bytes),
  responseSerialize: (value: ListProfilesResponse) => ListProfilesResponse.encode(value).finish(),
  responseDeserialize: (bytes: Uint8Array) => ListProfilesResponse.decode(bytes),
  options: {},
} as const;

/** Watch a target as this language takes it, idle with keepalive pings, and print how it ends. */
export async function reach(): Promise<void> {
  const keepalive = Number(environ("KEEPALIVE_SECONDS"));
  const client = connectTo(
    environ("GRPC_ADDRESS"),
    environ("API_KEY"),
    keepalive
      ? { "grpc.keepalive_time_ms": keepalive * 1000, "grpc.keepalive_permit_without_calls": 1 }
      : {},
  );
  const idle = Number(environ("IDLE_SECONDS")) * 1000;
  const signal = AbortSignal.timeout(idle || 30_000);
  let reached = false;
  try {
    for await (const _ of client.profiles.watchConnections({}, { signal })) {
      if (!reached) console.log("reached");
      reached = true;
      if (!idle) break;
    }
  } catch (error) {
    if (!reached) throw error;
    console.log(String(error));
  }
  client.close();
}
