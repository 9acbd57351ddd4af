package com.example.postcore;

import static com.example.postcore.Main.environ;

import dev.postcore.profiles.v1.ConnectProfileRequest;
import dev.postcore.profiles.v1.ConnectionEvent;
import dev.postcore.profiles.v1.CreateProfileRequest;
import dev.postcore.profiles.v1.DisconnectPlatformRequest;
import dev.postcore.profiles.v1.GetProfileRequest;
import dev.postcore.profiles.v1.ListPlatformsRequest;
import dev.postcore.profiles.v1.ListProfilesRequest;
import dev.postcore.profiles.v1.ReconnectReason;
import io.grpc.Status;
import java.time.Duration;
import java.util.concurrent.Callable;

/** Every check against the sandbox, with a line for each. */
final class Check {
  private static final String HANDLE = "user.bsky.social";
  private static final String APP_PASSWORD = "abcd-efgh-ijkl-mnop";

  private final Client client;
  private int count;
  private int failed;

  private Check(Client client) {
    this.client = client;
  }

  /** Runs all checks; returns the exit code. */
  static int run() throws Exception {
    var address = environ("GRPC_ADDRESS");
    try (var client = new Client(address, environ("API_KEY"));
        var stranger = new Client(address, "pc_live_unknown")) {
      var check = new Check(client);
      check.callsAndRefusals(stranger);
      check.connectionAndWatch();
      System.out.printf("%d checks, %d failed%n", check.count, check.failed);
      return check.failed > 0 ? 1 : 0;
    }
  }

  private void verify(String name, boolean right, Object seen) {
    count++;
    failed += right ? 0 : 1;
    System.out.printf("%s %s: %s%n", right ? "ok  " : "FAIL", name, seen);
  }

  /** Checks that a call is refused for a reason; returns how. */
  private Refusal refused(String name, String reason, Callable<?> call) throws Exception {
    var refusal = Refusal.of(call);
    verify(name, refusal.reason.equals(reason), refusal);
    return refusal;
  }

  private void callsAndRefusals(Client stranger) throws Exception {
    var platforms = client.platforms(10).listPlatforms(ListPlatformsRequest.getDefaultInstance());
    verify("platforms", platforms.getPlatformsCount() > 0, platforms.getPlatformsCount());

    var all = ListProfilesRequest.getDefaultInstance();
    refused("wrong key", "INVALID_API_KEY", () -> stranger.profiles(10).listProfiles(all));

    var negative = ListProfilesRequest.newBuilder().setPageSize(-1).build();
    var refusal =
        refused("wrong field", "INVALID_REQUEST", () -> client.profiles(10).listProfiles(negative));
    verify("its name", refusal.fields.containsKey("page_size"), refusal.fields);

    var oauth = ConnectProfileRequest.newBuilder().setPlatform("linkedin").build();
    refused("OAuth platform", "USE_GET_FOR_OAUTH", () -> client.profiles(30).connectProfile(oauth));

    refusal =
        refused(
            "refused password",
            "INVALID_CREDENTIALS",
            () -> Calls.connect(client, HANDLE, "aaaa-bbbb-cccc-dddd"));
    var cause = refusal.metadata.get("cause");
    verify("its cause", "REJECTED_BY_PLATFORM".equals(cause), cause);

    refusal =
        refused( // the sandbox limits this account
            "busy platform",
            "PLATFORM_RATE_LIMITED",
            () -> Calls.connect(client, "alice.test", "alic-eapp-pass-word"));
    var wait = refusal.retryAfter.orElse(Duration.ZERO);
    verify("when to retry", wait.toSeconds() >= 1, wait);

    refusal = Refusal.of(() -> client.profiles(0).listProfiles(all));
    var code = refusal.status.getCode();
    verify("deadline", code == Status.Code.DEADLINE_EXCEEDED, code);
  }

  private void connectionAndWatch() throws Exception {
    var shop = CreateProfileRequest.newBuilder().setProfileName("Shop").build();
    var named = client.profiles(10).createProfile(shop);
    verify("set field", named.getProfileName().equals("Shop"), named.getProfileName());
    var connected = Calls.connect(client, HANDLE, APP_PASSWORD);
    verify("connect", connected.getUsername().equals(HANDLE), connected.getUsername());
    var key = connected.getProfileKey();
    var wanted = GetProfileRequest.newBuilder().setProfileKey(key).build();
    var profile = client.profiles(10).getProfile(wanted).getProfile();
    verify("unset field", !profile.hasProfileName(), !profile.hasProfileName());

    wanted = GetProfileRequest.newBuilder().setProfileKey(environ("BROKEN_PROFILE")).build();
    profile = client.profiles(10).getProfile(wanted).getProfile();
    for (var connection : profile.getConnectedPlatformsList()) {
      var reason = connection.getReconnectReason(); // UNRECOGNIZED, where these stubs are older
      var number = connection.getReconnectReasonValue();
      var isKnown = reason != ReconnectReason.UNRECOGNIZED;
      var isRight = connection.getNeedsReconnect() && number == 8;
      verify("broken connection", isRight, isKnown ? reason : number);
    }

    var uri = Calls.post(client, key, "Hello from Java");
    verify("lease and post", uri.startsWith("at://"), uri);

    var end =
        DisconnectPlatformRequest.newBuilder().setProfileKey(key).setPlatform("bluesky").build();
    var first = Calls.next(client, "", () -> client.profiles(10).disconnectPlatform(end));
    var event = first.message().getEvents(0);
    var isEnd = event.getKind() == ConnectionEvent.Kind.KIND_DISCONNECTED;
    var count = first.message().getEventsCount();
    verify("watch", isEnd && event.getProfileKey().equals(key), count);
    var again = Calls.next(client, first.cursor(), () -> null);
    var isSame = again.message().equals(first.message());
    verify("resumed watch", isSame, isSame);
  }
}
