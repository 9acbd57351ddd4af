"""Remote: a client of the control surface of a sandbox in another process."""

import json
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote

TIMEOUT_SECONDS = 10


class NoSandbox(Exception):
    """No sandbox answers at the address. The text is a sentence for the operator."""


class Refused(Exception):
    """The sandbox rejected the request. The text is its message."""


class Remote:
    """Sends requests to *address* (HOST:PORT)."""

    def __init__(self, address: str) -> None:
        self._address = address

    def ask(self, verb: str, *path: str, **given: object) -> dict[str, Any]:
        """Send the *given* fields that are not None; raise NoSandbox or Refused."""
        body = {name: value for name, value in given.items() if value is not None}
        status, answer = self._send(
            verb, "/" + "/".join(quote(part, "", errors="replace") for part in path), body
        )
        if status != 200:
            raise Refused(str(answer.get("message")))
        return answer

    def _send(self, verb: str, path: str, body: dict[str, object]) -> tuple[int, dict[str, Any]]:
        host, _, port = self._address.rpartition(":")
        connection = HTTPConnection(host.strip("[]"), int(port), timeout=TIMEOUT_SECONDS)
        try:
            connection.request(
                verb,
                path,
                json.dumps(body) if body else None,
                {"content-type": "application/json"} if body else {},
            )
            response = connection.getresponse()
            answer = json.loads(response.read())
        except OSError:
            raise NoSandbox(
                f"no sandbox is running at {self._address}; start one with `postcore serve "
                "--sandbox` or `make run`, or say in POSTCORE_SANDBOX_CONTROL_ADDRESS where it is"
            ) from None
        except (HTTPException, ValueError):
            answer = None
        finally:
            connection.close()
        if not isinstance(answer, dict):
            raise NoSandbox(f"what answers at {self._address} is no sandbox")
        return response.status, answer
