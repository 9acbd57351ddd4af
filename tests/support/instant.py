"""Instant: an account server that answers every refresh at once, to measure what surrounds it.

    python -m tests.support.instant HOSTS

Listens on 127.0.0.1 to 127.0.0.HOSTS, prints its port, and ends with its input; then it prints how
many refreshes it has answered, and the bytes received and sent, headers included. It accepts any
token, of which the account's DID is the last part, and logs nothing.
"""

import asyncio
import json
import secrets
import sys
from collections import Counter

TOKEN = 300
"""The length of a token's random part in bytes; a real token has as many characters."""
COUNTED: Counter[str] = Counter()


def handle_of(did: str) -> str:
    """Return the handle of the account, which needs no list."""
    return f"{did.rpartition(':')[2][:10]}.bsky.social"


class _Answers(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        COUNTED["received"] += len(data)
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head, self._received = self._received[:end], self._received[end + 4 :]
            _, _, token = head.lower().partition(b"authorization: bearer ")
            did = token.partition(b"\r\n")[0].decode().rpartition(".")[2]
            fresh = secrets.token_urlsafe(TOKEN)
            body = json.dumps(
                {
                    "accessJwt": f"{fresh}.{did}",
                    "refreshJwt": f"{fresh}.{did}",
                    "did": did,
                    "handle": handle_of(did),
                    "active": True,
                }
            ).encode()
            answer = (
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                % len(body)
                + body
            )
            self._transport.write(answer)
            COUNTED["sent"] += len(answer)
            COUNTED["refreshes"] += 1


async def serve(hosts: int) -> None:
    loop = asyncio.get_running_loop()
    first = await loop.create_server(_Answers, "127.0.0.1", 0)
    port = first.sockets[0].getsockname()[1]
    for host in range(2, hosts + 1):
        await loop.create_server(_Answers, f"127.0.0.{host}", port)
    print(port, flush=True)  # noqa: T201
    await loop.run_in_executor(None, sys.stdin.read)
    print(COUNTED["refreshes"], COUNTED["received"], COUNTED["sent"], flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
