package com.example.postcore;

import static com.example.postcore.Main.environ;

import com.google.gson.Gson;
import dev.postcore.profiles.v1.ConnectProfileRequest;
import dev.postcore.profiles.v1.GetProfileRequest;
import dev.postcore.profiles.v1.ListProfilesRequest;
import dev.postcore.profiles.v1.ProfileServiceGrpc;
import dev.postcore.profiles.v1.WatchConnectionsRequest;
import io.grpc.CallOptions;
import io.grpc.StatusException;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;

/** What a user of Java sees of bad input. */
final class BadInput {
  private BadInput() {}

  /**
   * Prints a line of JSON for each bad input.
   *
   * <p>POSTCORE_FUTURE_ADDRESS is a server of a later version. When "watching" is printed, the
   * other server stops.
   */
  static int refusals() throws Exception {
    var address = environ("GRPC_ADDRESS");
    var apiKey = environ("API_KEY");
    try (var client = new Client(address, apiKey);
        var stranger = new Client(address, "pc_live_unknown");
        var future = new Client(environ("FUTURE_ADDRESS"), apiKey)) {
      var all = ListProfilesRequest.getDefaultInstance();
      var oauth = ConnectProfileRequest.newBuilder().setPlatform("linkedin").build();
      var tooLong = GetProfileRequest.newBuilder().setProfileKey("x".repeat(64 * 1024 - 3)).build();
      show("wrong key", () -> stranger.profiles(10).listProfiles(all));
      show(
          "refused password",
          () -> Calls.connect(client, "user.bsky.social", "aaaa-bbbb-cccc-dddd"));
      show("OAuth platform", () -> client.profiles(30).connectProfile(oauth));
      show("expired deadline", () -> client.profiles(0).listProfiles(all));
      show("message of 64 KiB + 1", () -> client.profiles(10).getProfile(tooLong));
      var unknown =
          ProfileServiceGrpc.getListProfilesMethod().toBuilder()
              .setFullMethodName("postcore.profiles.v1.ProfileService/Unknown")
              .build();
      show(
          "unknown method",
          () -> ClientCalls.blockingUnaryCall(client.channel, unknown, CallOptions.DEFAULT, all));
      show("unknown reason", () -> future.profiles(10).listProfiles(all));
      var reply = future.profiles(10).getProfile(GetProfileRequest.getDefaultInstance());
      var connection = reply.getProfile().getConnectedPlatforms(0);
      line(
          "unknown enum value",
          "OK",
          "",
          "%s, getStateValue() %d".formatted(connection.getState(), connection.getStateValue()));
      show("server stops in a watch", () -> watch(client, "watching"));
    }
    return 0;
  }

  private static void show(String name, Callable<?> call) throws Exception {
    try {
      call.call();
      line(name, "OK", "", "");
    } catch (StatusException | StatusRuntimeException error) {
      var refusal = new Refusal(error);
      line(name, refusal.status.getCode().name(), refusal.reason, error.toString());
    }
  }

  private static void line(String name, String code, String reason, String text) {
    System.out.println(
        new Gson().toJson(Map.of("case", name, "code", code, "reason", reason, "text", text)));
  }

  private static Void watch(Client client, String begun) throws Exception {
    var stream = client.watching().watchConnections(WatchConnectionsRequest.getDefaultInstance());
    for (var first = true; stream.read() != null; first = false) {
      if (first) {
        System.out.println(begun);
      }
    }
    return null;
  }

  /** Watches a target as this language takes it, with keepalive pings, and prints how it ends. */
  static int reach() throws Exception {
    var keepalive = Integer.parseInt("0" + environ("KEEPALIVE_SECONDS"));
    var idle = Integer.parseInt("0" + environ("IDLE_SECONDS"));
    try (var client =
        new Client(
            environ("GRPC_ADDRESS"),
            environ("API_KEY"),
            builder ->
                keepalive > 0 ? builder.keepAliveTime(keepalive, TimeUnit.SECONDS) : builder)) {
      var stub = client.watching().withDeadlineAfter(idle > 0 ? idle : 30, TimeUnit.SECONDS);
      var stream = stub.watchConnections(WatchConnectionsRequest.getDefaultInstance());
      stream.read();
      System.out.println("reached");
      while (idle > 0 && stream.read() != null) {}
    } catch (StatusException error) {
      System.out.println(error);
    }
    return 0;
  }
}
