package com.example.postcore;

import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.postcore.profiles.v1.ConnectProfileRequest;
import dev.postcore.profiles.v1.ConnectProfileResponse;
import dev.postcore.profiles.v1.Credentials;
import dev.postcore.profiles.v1.LeaseSessionRequest;
import dev.postcore.profiles.v1.WatchConnectionsRequest;
import dev.postcore.profiles.v1.WatchConnectionsResponse;
import io.grpc.StatusException;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Callable;

/** A connect, a post with a leased session, and a watch. */
final class Calls {
  private static final String COLLECTION = "app.bsky.feed.post";
  private static final int MAX_ANSWER_BYTES = 65536;

  private Calls() {}

  /** Makes a profile for the account: the profile key is not set. */
  static ConnectProfileResponse connect(Client client, String handle, String appPassword)
      throws StatusException {
    var request =
        ConnectProfileRequest.newBuilder()
            .setPlatform("bluesky")
            .setCredentials(
                Credentials.newBuilder().setHandle(handle).setAppPassword(appPassword).build())
            .setIdempotencyKey(UUID.randomUUID().toString()) // the same for each retry
            .build();
    return client.profiles(30).connectProfile(request);
  }

  /**
   * Leases a session and posts at the account's own server; returns the URI of the post.
   *
   * <p>The account's owner named that server: follow no redirects, and limit time and size.
   */
  static String post(Client client, String profileKey, String text)
      throws StatusException, IOException, InterruptedException {
    var lease =
        client
            .sessions(10)
            .leaseSession(
                LeaseSessionRequest.newBuilder()
                    .setProfileKey(profileKey)
                    .setPlatform("bluesky")
                    .build());
    var record = Map.of("$type", COLLECTION, "text", text, "createdAt", Instant.now().toString());
    var body = Map.of("repo", lease.getAccountId(), "collection", COLLECTION, "record", record);
    var request =
        HttpRequest.newBuilder(
                URI.create(lease.getServiceEndpoint() + "/xrpc/com.atproto.repo.createRecord"))
            .timeout(Duration.ofSeconds(10))
            .header("authorization", "Bearer " + lease.getAccessToken())
            .header("content-type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(new Gson().toJson(body)))
            .build();
    var server = HttpClient.newBuilder().followRedirects(HttpClient.Redirect.NEVER).build();
    var answer = server.send(request, HttpResponse.BodyHandlers.ofInputStream());
    JsonObject posted;
    try (var stream = answer.body()) {
      var read = new String(stream.readNBytes(MAX_ANSWER_BYTES), StandardCharsets.UTF_8);
      posted = JsonParser.parseString(read).getAsJsonObject();
    }
    if (answer.statusCode() != 200) {
      throw new IOException("not posted: " + answer.statusCode() + " " + posted.get("error"));
    }
    return posted.get("uri").getAsString();
  }

  /** A message with events, and the cursor before it. */
  record Next(WatchConnectionsResponse message, String cursor) {}

  /**
   * Reads the stream from the cursor up to the first message with events, and ends the stream.
   *
   * <p>Without a cursor the stream begins now; {@code begin} is called when it does. Store the
   * message's cursor once its events are applied.
   */
  static Next next(Client client, String cursor, Callable<?> begin) throws Exception {
    var request = WatchConnectionsRequest.newBuilder().setCursor(cursor).build();
    var stream = client.watching().watchConnections(request);
    try {
      for (var message = stream.read(); message != null; message = stream.read()) {
        if (message.getEventsCount() > 0) {
          return new Next(message, cursor);
        }
        cursor = message.getCursor();
        begin.call();
      }
      throw new IOException("the stream ended");
    } finally {
      stream.cancel("done", null);
    }
  }
}
