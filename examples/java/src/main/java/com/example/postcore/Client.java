package com.example.postcore;

import com.google.gson.Gson;
import dev.postcore.profiles.v1.PlatformServiceGrpc;
import dev.postcore.profiles.v1.ProfileServiceGrpc;
import dev.postcore.profiles.v1.SessionServiceGrpc;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.stub.AbstractStub;
import io.grpc.stub.MetadataUtils;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;

/** The stubs of the three services, on one channel. */
final class Client implements AutoCloseable {
  /** Retries, load balancing and health checks; the last need io.grpc:grpc-services. */
  private static final Path SERVICE_CONFIG = Path.of("../../protos/service_config.json");

  private static final Metadata.Key<String> API_KEY =
      Metadata.Key.of("x-api-key", Metadata.ASCII_STRING_MARSHALLER);

  final ManagedChannel channel;
  private final String apiKey;

  Client(String target, String apiKey) throws IOException {
    this(target, apiKey, UnaryOperator.identity());
  }

  /** Sends the key with each call. Use TLS credentials for any server but a local one. */
  Client(String target, String apiKey, UnaryOperator<ManagedChannelBuilder<?>> options)
      throws IOException {
    @SuppressWarnings("unchecked") // Gson makes of JSON what grpc takes: maps, lists and doubles
    Map<String, ?> config = new Gson().fromJson(Files.readString(SERVICE_CONFIG), Map.class);
    var builder = Grpc.newChannelBuilder(target, InsecureChannelCredentials.create());
    builder.defaultServiceConfig(config).enableRetry();
    this.channel = options.apply(builder).build();
    this.apiKey = apiKey;
  }

  PlatformServiceGrpc.PlatformServiceBlockingV2Stub platforms(int seconds) {
    return limited(PlatformServiceGrpc.newBlockingV2Stub(channel), seconds);
  }

  ProfileServiceGrpc.ProfileServiceBlockingV2Stub profiles(int seconds) {
    return limited(ProfileServiceGrpc.newBlockingV2Stub(channel), seconds);
  }

  SessionServiceGrpc.SessionServiceBlockingV2Stub sessions(int seconds) {
    return limited(SessionServiceGrpc.newBlockingV2Stub(channel), seconds);
  }

  /** Returns the stub of a watch, which has no deadline. */
  ProfileServiceGrpc.ProfileServiceBlockingV2Stub watching() {
    return withKey(ProfileServiceGrpc.newBlockingV2Stub(channel));
  }

  private <S extends AbstractStub<S>> S limited(S stub, int seconds) {
    return withKey(stub).withDeadlineAfter(seconds, TimeUnit.SECONDS);
  }

  private <S extends AbstractStub<S>> S withKey(S stub) {
    var headers = new Metadata();
    headers.put(API_KEY, apiKey);
    return stub.withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers));
  }

  @Override
  public void close() {
    channel.shutdownNow();
  }
}
