"""Flood: `python -m tests.transport.http.flood KIND HOST PORT` sends requests until it is killed.

It reads the responses, and reconnects when it is disconnected.
"""

import selectors
import socket
import sys
import time

BYTES_PER_SECOND = 2_000_000
SLICE_SECONDS = 0.01
POST = b"POST /profiles/connect HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
GET = b"GET /health HTTP/1.1\r\nhost: a\r\n"
KINDS = {
    "chunks of one byte": (POST, b"1\r\n \r\n"),
    "chunk extensions": (POST, b"1;" + b"x" * 200 + b"\r\n \r\n"),
    "trailers": (POST + b"0\r\n", b"a:\r\n"),
    "heads of 3500 headers": (b"", GET + b"a:\r\n" * 3500 + b"\r\n"),
    "heads of 100 headers": (b"", GET + b"a:\r\n" * 99 + b"\r\n"),
    "heads of 16 KiB": (b"", GET + b"a: " + b"x" * 16_000 + b"\r\n\r\n"),
    "pipelined requests": (b"", GET + b"\r\n"),
    "pipelined refusals": (b"", b"GET /profiles HTTP/1.1\r\nhost: a\r\nx-api-key: a\r\n\r\n"),
    "connections": (GET + b"connection: close\r\n\r\n", b""),
    "bytes that are no request": (b"", b"\n" * 1000),
}


def flood(kind: str, address: tuple[str, int]) -> None:
    first, again = KINDS[kind]
    data = again * (int(BYTES_PER_SECOND * SLICE_SECONDS) // len(again) + 1) if again else b""
    while True:
        try:
            with socket.create_connection(address, 5) as sock:
                sock.sendall(first)
                sock.setblocking(False)
                _send(sock, data)
        except OSError:
            time.sleep(0.001)


def _send(sock: socket.socket, data: bytes) -> None:
    """Send *data* repeatedly until the server closes the connection."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if data else 0))
        left, due = b"", time.monotonic()
        while True:
            for _, ready in selector.select(1):
                if ready & selectors.EVENT_READ and not sock.recv(1 << 16):
                    return
                if ready & selectors.EVENT_WRITE:
                    if not left:
                        time.sleep(max(0.0, due - time.monotonic()))
                        due = max(due, time.monotonic() - 0.1) + len(data) / BYTES_PER_SECOND
                        left = data
                    left = left[sock.send(left) :]


if __name__ == "__main__":
    flood(sys.argv[1], (sys.argv[2], int(sys.argv[3])))
