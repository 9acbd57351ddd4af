package com.example.postcore;

import io.grpc.EquivalentAddressGroup;
import io.grpc.NameResolver;
import io.grpc.NameResolverProvider;
import io.grpc.StatusOr;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.stream.Stream;

/** Resolves nodes:///HOST:PORT,HOST:PORT. A DNS name with several records needs no such class. */
final class Nodes extends NameResolverProvider {
  @Override
  public NameResolver newNameResolver(URI target, NameResolver.Args arguments) {
    var groups =
        Stream.of(target.getPath().substring(1).split(","))
            .map(each -> URI.create("tcp://" + each))
            .map(each -> new InetSocketAddress(each.getHost(), each.getPort()))
            .map(EquivalentAddressGroup::new)
            .toList();
    return new NameResolver() {
      @Override
      public void start(Listener2 listener) {
        listener.onResult(
            ResolutionResult.newBuilder().setAddressesOrError(StatusOr.fromValue(groups)).build());
      }

      @Override
      public String getServiceAuthority() {
        return "nodes";
      }

      @Override
      public void shutdown() {}
    };
  }

  @Override
  public String getDefaultScheme() {
    return "nodes";
  }

  @Override
  protected boolean isAvailable() {
    return true;
  }

  @Override
  protected int priority() {
    return 1; // below DNS: a target without a scheme stays a DNS name
  }
}
