"""Calls: a connect, a post with a leased session, and a watch."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import urlsplit
from uuid import uuid4

import grpc

from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1.session_service_pb2 import LeaseSessionRequest
from postcore_example.client import Client
from postcore_example.refusal import Refusal, refusals

COLLECTION = "app.bsky.feed.post"
MAX_ANSWER_BYTES = 65536


def connect(client: Client, handle: str, app_password: str) -> pb.ConnectProfileResponse:
    """Make a profile for the account: the profile key is unset. Raises Refusal."""
    request = pb.ConnectProfileRequest(
        platform="bluesky",
        credentials=pb.Credentials(handle=handle, app_password=app_password),
        idempotency_key=str(uuid4()),  # the same for each retry
    )
    with refusals():
        return client.profiles.ConnectProfile(request, metadata=client.metadata, timeout=30)


def post(client: Client, profile_key: str, text: str) -> str:
    """Lease a session and post at the account's own server; return the URI of the post.

    The account's owner named that server: follow no redirects, and limit time and size.
    """
    request = LeaseSessionRequest(profile_key=profile_key, platform="bluesky")
    with refusals():
        lease = client.sessions.LeaseSession(request, metadata=client.metadata, timeout=10)
    record = {"$type": COLLECTION, "text": text, "createdAt": datetime.now(UTC).isoformat()}
    server = urlsplit(lease.service_endpoint)
    connection_to = HTTPSConnection if server.scheme == "https" else HTTPConnection
    connection = connection_to(server.netloc, timeout=10)
    try:
        connection.request(
            "POST",
            f"{server.path}/xrpc/com.atproto.repo.createRecord",
            json.dumps({"repo": lease.account_id, "collection": COLLECTION, "record": record}),
            {
                "authorization": f"Bearer {lease.access_token}",
                "content-type": "application/json",
            },
        )
        answer = connection.getresponse()
        posted = json.loads(answer.read(MAX_ANSWER_BYTES))
    finally:
        connection.close()
    if answer.status != 200:
        raise RuntimeError(f"not posted: {answer.status} {posted.get('error')}")
    return str(posted["uri"])


def next_events(
    client: Client, cursor: str = "", begin: Callable[[], object] = lambda: None
) -> tuple[pb.WatchConnectionsResponse, str]:
    """Read the stream from *cursor* up to the first message with events, and end the stream.

    Return the message and the cursor before it. Without a cursor the stream begins now; *begin* is
    called when it does. Store the message's cursor once its events are applied.
    """
    request = pb.WatchConnectionsRequest(cursor=cursor)
    stream = client.profiles.WatchConnections(request, metadata=client.metadata)
    try:
        for message in stream:
            if message.events:
                return message, cursor
            cursor = message.cursor
            begin()
    except grpc.RpcError as error:
        raise Refusal(error) from error
    finally:
        stream.cancel()
    raise RuntimeError("the stream ended")
