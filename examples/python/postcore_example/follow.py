"""Follow: what a caller of several nodes sees while nodes end."""

import json
import sys
import threading
import time
from collections import Counter

import grpc

from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore_example.client import Client, environ


class Seen:
    """Calls, and a watch that goes on with its cursor after each break."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._reset()

    def _reset(self) -> None:
        self._calls = self._longest_ms = self._events = 0
        self._failed: Counter[str] = Counter()
        self._breaks: Counter[str] = Counter()

    def take(self) -> dict[str, object]:
        """What was seen since the last time."""
        with self._lock:
            taken = {
                "calls": self._calls,
                "failed": dict(self._failed),
                "longest_ms": self._longest_ms,
                "breaks": dict(self._breaks),
                "events": self._events,
            }
            self._reset()
        return taken

    def end(self) -> None:
        self._ended.set()

    def cursor(self) -> str:
        """The position now: that of a watch's first message."""
        request = pb.WatchConnectionsRequest()
        metadata = self._client.metadata
        stream = self._client.profiles.WatchConnections(request, metadata=metadata, timeout=30)
        cursor = next(stream).cursor
        stream.cancel()
        return str(cursor)

    def call(self) -> None:
        request = pb.GetProfileRequest(profile_key=environ("PROFILE"))
        metadata = self._client.metadata
        while not self._ended.wait(0.05):
            begun, code = time.monotonic(), ""
            try:
                self._client.profiles.GetProfile(request, metadata=metadata, timeout=5)
            except grpc.RpcError as error:
                code = error.code().name
            milliseconds = round((time.monotonic() - begun) * 1000)
            with self._lock:
                self._calls += 1
                self._longest_ms = max(self._longest_ms, milliseconds)
                if code:
                    self._failed[code] += 1

    def watch(self, cursor: str) -> None:
        metadata = self._client.metadata
        while not self._ended.wait(0.2):
            request = pb.WatchConnectionsRequest(cursor=cursor)
            code = "end"
            try:
                for message in self._client.profiles.WatchConnections(request, metadata=metadata):
                    with self._lock:
                        self._events += len(message.events)
                    cursor = message.cursor
            except grpc.RpcError as error:
                code = error.code().name
            with self._lock:
                self._breaks[code] += 1


def follow() -> int:
    """Call and watch; each line on standard input prints what was seen since the last one."""
    with Client(f"ipv4:{environ('GRPC_ADDRESS')}", environ("API_KEY")) as client:
        seen = Seen(client)
        threading.Thread(target=seen.watch, args=[seen.cursor()], daemon=True).start()
        threading.Thread(target=seen.call, daemon=True).start()
        print("following", flush=True)
        for _ in sys.stdin:
            print(json.dumps(seen.take()), flush=True)
        seen.end()
    return 0
