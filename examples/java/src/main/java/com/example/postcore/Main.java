package com.example.postcore;

import java.util.Map;
import java.util.concurrent.Callable;

/**
 * The postcore example in Java: it connects an account, handles each kind of refusal, leases, posts
 * and watches.
 *
 * <p>The other modes are for tests: what a caller sees of a node that ends, and of bad input.
 */
public final class Main {
  private static final Map<String, Callable<Integer>> MODES =
      Map.of(
          "check", Check::run,
          "follow", Follow::run,
          "refusals", BadInput::refusals,
          "reach", BadInput::reach);

  private Main() {}

  public static void main(String[] arguments) throws Exception {
    var mode = MODES.get(arguments.length > 0 ? arguments[0] : "check");
    if (mode == null) {
      System.err.println("modes: check, follow, refusals, reach");
      System.exit(2);
    }
    System.exit(mode.call());
  }

  /** Returns the value of an environment variable; empty where there is none. */
  static String environ(String name) {
    return System.getenv().getOrDefault("POSTCORE_" + name, "");
  }
}
