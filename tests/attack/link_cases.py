"""Cases of failing tries of connect links, for row 3: on the page where people type passwords."""

from collections.abc import Awaitable, Callable, Iterator
from itertools import count, product
from typing import TYPE_CHECKING

from postcore.profiles.v1 import profile_service_pb2 as pb
from tests.attack.echo_server import SHAPES, STATUSES
from tests.attack.failing_process import CONNECT, ERRORS, name_of

if TYPE_CHECKING:
    from tests.attack.rows.row_03_leaks import Trial

FORM = "application/x-www-form-urlencoded"
BODIES = (
    *("{password}", "appPassword={password}", "handle={password}&appPassword={password}"),
    *("handle=a&handle={password}", "{password}={password}", "appPassword=%ff{password}"),
    "platform={password}&appPassword={password}",
)


def cases(trial: "Trial") -> Iterator[Callable[[], Awaitable[None]]]:
    """Tries with an exception at every seam, with servers that echo, and in malformed forms."""
    errors = [name for name in ERRORS if name != "PlatformUnavailable"]
    numbers = count()
    for seam, turn in product(CONNECT, range(3)):
        error = errors[(next(numbers) + turn) % len(errors)]

        async def forced(seam: str = name_of(seam), error: str = error) -> None:
            path = await _link(trial)
            trial.order(seam, error)
            await _send(trial, path)

        yield forced
    for shape, status in product(SHAPES, STATUSES):

        async def echoed(shape: str = shape, status: int = status) -> None:
            path = await _link(trial)
            trial.echo_server.how["createSession"] = lambda said: SHAPES[shape](said, status)
            await _send(trial, path)

        yield echoed
    for body, kind in product(BODIES, (FORM, "application/json", "text/plain")):

        async def malformed(body: str = body, kind: str = kind) -> None:
            path = await _link(trial)
            _, password = trial.person()
            content = body.format(password=password)
            await trial.post("POST", path, content=content, headers={"content-type": kind})
            await trial.post("GET", f"{path}?{content}")
            await trial.post("POST", f"{path}{password}", content=content)

        yield malformed


async def _link(trial: "Trial") -> str:
    """Return the path of a new link, whose token is a secret."""
    made = await trial.service.profiles.CreateConnectLink(
        pb.CreateConnectLinkRequest(app_name="Example", platform="bluesky"),
        metadata=trial.service.metadata(),
        timeout=20,
    )
    token = made.url.rpartition("/")[2]
    trial.secret("connect link", token)
    return f"/connect/{token}"


async def _send(trial: "Trial", path: str) -> None:
    handle, password = trial.person()
    fields = {"handle": handle, "appPassword": password}
    await trial.post("POST", path, data=fields)
