/** The stubs of the three services, on one channel. */

import { readFileSync } from "node:fs";
import {
  type Channel,
  type ChannelOptions,
  createChannel,
  createClientFactory,
  Metadata,
} from "nice-grpc";
import { deadlineMiddleware } from "nice-grpc-client-middleware-deadline";
import { errorDetailsClientMiddleware } from "nice-grpc-error-details";
import { PlatformServiceDefinition } from "../gen/postcore/profiles/v1/platform_service.js";
import { ProfileServiceDefinition } from "../gen/postcore/profiles/v1/profile_service.js";
import { SessionServiceDefinition } from "../gen/postcore/profiles/v1/session_service.js";

/** Retries and load balancing; grpc-js has no health checks. */
const SERVICE_CONFIG = readFileSync("../../protos/service_config.json", "utf8");

export type Client = ReturnType<typeof connectTo>;

/** Make a client that sends `key` with each call. For any server but a local one, use TLS. */
export function connectTo(target: string, key: string, options: ChannelOptions = {}) {
  const channel: Channel = createChannel(target, undefined, {
    "grpc.service_config": SERVICE_CONFIG,
    ...options,
  });
  const factory = createClientFactory().use(deadlineMiddleware).use(errorDetailsClientMiddleware);
  const defaults = { "*": { metadata: Metadata({ "x-api-key": key }) } };
  return {
    channel,
    platforms: factory.create(PlatformServiceDefinition, channel, defaults),
    profiles: factory.create(ProfileServiceDefinition, channel, defaults),
    sessions: factory.create(SessionServiceDefinition, channel, defaults),
    close: () => channel.close(),
  };
}

/** The value of an environment variable; "" where there is none. */
export const environ = (name: string): string => process.env[`POSTCORE_${name}`] ?? "";
