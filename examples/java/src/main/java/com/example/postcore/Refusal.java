package com.example.postcore;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;

/** A call that the service refused; its cause is what grpc threw. */
final class Refusal extends Exception {
  private static final long serialVersionUID = 1;

  final transient Status status;

  /** Such as PROFILE_NOT_FOUND; empty where grpc itself refused. */
  final String reason;

  /** Such as the cause. */
  final transient Map<String, String> metadata = new HashMap<>();

  /** What is wrong with each field of the request. */
  final transient Map<String, String> fields = new HashMap<>();

  /** How long to wait; empty where waiting does not help. */
  final transient Optional<Duration> retryAfter;

  Refusal(Throwable cause) {
    super(cause);
    status = Status.fromThrowable(cause);
    var found = "";
    Duration wait = null;
    var details = StatusProto.fromThrowable(cause);
    try {
      for (var detail : details == null ? List.<Any>of() : details.getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          var info = detail.unpack(ErrorInfo.class);
          found = info.getReason();
          metadata.putAll(info.getMetadataMap());
        } else if (detail.is(BadRequest.class)) {
          for (var violation : detail.unpack(BadRequest.class).getFieldViolationsList()) {
            fields.put(violation.getField(), violation.getDescription());
          }
        } else if (detail.is(RetryInfo.class)) {
          wait = Duration.ofSeconds(detail.unpack(RetryInfo.class).getRetryDelay().getSeconds());
        }
      }
    } catch (InvalidProtocolBufferException malformed) {
      addSuppressed(malformed);
    }
    reason = found;
    retryAfter = Optional.ofNullable(wait);
  }

  @Override
  public String getMessage() {
    return "%s: %s (%s)".formatted(status.getCode(), status.getDescription(), reason);
  }

  @Override
  public String toString() {
    return getMessage();
  }

  /** Returns the refusal of a call that is expected to be refused. */
  static Refusal of(Callable<?> call) throws Exception {
    try {
      call.call();
    } catch (StatusException | StatusRuntimeException error) {
      return new Refusal(error);
    }
    throw new IllegalStateException("the call was not refused");
  }
}
