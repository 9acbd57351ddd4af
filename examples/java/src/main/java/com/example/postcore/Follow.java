package com.example.postcore;

import static com.example.postcore.Main.environ;

import com.google.gson.Gson;
import dev.postcore.profiles.v1.GetProfileRequest;
import dev.postcore.profiles.v1.WatchConnectionsRequest;
import io.grpc.NameResolverRegistry;
import io.grpc.Status;
import io.grpc.StatusException;
import java.util.HashMap;
import java.util.Map;
import java.util.Scanner;

/** What a caller of several nodes sees while nodes end. */
final class Follow {
  private int calls;
  private final Map<String, Integer> failed = new HashMap<>();
  private long longest;
  private final Map<String, Integer> breaks = new HashMap<>();
  private int events;

  /** Calls and watches; each line on standard input prints what was seen since the last one. */
  static int run() throws Exception {
    NameResolverRegistry.getDefaultRegistry().register(new Nodes());
    var seen = new Follow();
    try (var client = new Client("nodes:///" + environ("GRPC_ADDRESS"), environ("API_KEY"))) {
      var stream = client.watching().watchConnections(WatchConnectionsRequest.getDefaultInstance());
      var cursor = stream.read().getCursor();
      stream.cancel("done", null);
      start(() -> seen.call(client));
      start(() -> seen.watch(client, cursor));
      System.out.println("following");
      for (var lines = new Scanner(System.in); lines.hasNextLine(); lines.nextLine()) {
        System.out.println(seen.take());
      }
    }
    return 0;
  }

  private interface Work {
    void run() throws InterruptedException;
  }

  private static void start(Work work) {
    var thread =
        new Thread(
            () -> {
              try {
                work.run();
              } catch (InterruptedException ended) {
                Thread.currentThread().interrupt();
              }
            });
    thread.setDaemon(true);
    thread.start();
  }

  private synchronized String take() {
    var taken =
        new Gson()
            .toJson(
                Map.of(
                    "calls",
                    calls,
                    "failed",
                    failed,
                    "longest_ms",
                    longest,
                    "breaks",
                    breaks,
                    "events",
                    events));
    calls = events = 0;
    longest = 0;
    failed.clear();
    breaks.clear();
    return taken;
  }

  private void call(Client client) throws InterruptedException {
    var request = GetProfileRequest.newBuilder().setProfileKey(environ("PROFILE")).build();
    while (true) {
      var begun = System.nanoTime();
      Status.Code code = null;
      try {
        client.profiles(5).getProfile(request);
      } catch (StatusException error) {
        code = error.getStatus().getCode();
      }
      synchronized (this) {
        calls++;
        longest = Math.max(longest, (System.nanoTime() - begun) / 1_000_000);
        if (code != null) {
          failed.merge(code.name(), 1, Integer::sum);
        }
      }
      Thread.sleep(50);
    }
  }

  private void watch(Client client, String cursor) throws InterruptedException {
    while (true) {
      var code = "end";
      var request = WatchConnectionsRequest.newBuilder().setCursor(cursor).build();
      try {
        var stream = client.watching().watchConnections(request);
        for (var message = stream.read(); message != null; message = stream.read()) {
          cursor = message.getCursor();
          synchronized (this) {
            events += message.getEventsCount();
          }
        }
      } catch (StatusException error) {
        code = error.getStatus().getCode().name();
      }
      synchronized (this) {
        breaks.merge(code, 1, Integer::sum);
      }
      Thread.sleep(200);
    }
  }
}
