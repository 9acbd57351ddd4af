"""Echo cases: calls that fail or succeed at sites that repeat the credentials they receive."""

from collections.abc import Awaitable, Callable, Iterator
from itertools import count, product
from typing import TYPE_CHECKING

from postcore.profiles.v1 import profile_service_pb2 as pb
from tests.attack.echo_server import SHAPES, STATUSES, silent
from tests.attack.echo_sites import EchoSite
from tests.attack.failing_process import ERRORS, SITE_CONNECT, SITE_LEASE, SITE_VERIFY, name_of
from tests.attack.hosted_sites import as_entry, connected
from tests.platforms.raw import Request

if TYPE_CHECKING:
    from tests.attack.rows.row_03_leaks import Trial

Case = Callable[[], Awaitable[None]]
USES = ("lease", "verify", "delete")


class AtSite:
    """Calls about accounts of *site*."""

    def __init__(self, trial: "Trial", site: EchoSite) -> None:
        self.trial = trial
        self.site = site

    async def connect(self, transport: str = "grpc", *, timeout: float = 20) -> None:  # noqa: ASYNC109
        """Connect a new account, and record what the caller receives."""
        account = self.site.account()
        for secret in account.secrets:
            self.trial.secret("credential", secret)
        key = self.trial.secret("idempotency key")
        if transport == "grpc":
            named = as_entry(account.platform, account.credentials)
            request = pb.ConnectProfileRequest(
                platform=named.platform, credentials=named.credentials, idempotency_key=key
            )
            connect = self.trial.service.profiles.ConnectProfile
            metadata = self.trial.service.metadata()
            await self.trial.grpc(connect(request, metadata=metadata, timeout=timeout))
        else:
            await self.trial.post(
                "POST",
                "/profiles/connect",
                json={"platform": account.platform, "credentials": account.credentials},
                headers={"idempotency-key": key},
            )

    async def connected(self) -> tuple[str, str]:
        """Connect a new account; return its profile's key and what a lease of it has lent."""
        account = self.site.account()
        for secret in account.secrets:
            self.trial.secret("credential", secret)
        service = self.trial.service
        profile = await connected(service, as_entry(account.platform, account.credentials))
        lease = await service.lease(profile, platform=account.platform, timeout=20)
        self.site.seen.add(lease.access_token.rpartition(".")[2])
        return profile, lease.access_token

    async def use(self, how: str, profile: str, token: str) -> None:
        """Renew, check or delete a connection two minutes later."""
        trial, platform = self.trial, self.site.platform
        if how == "lease":
            await trial.grpc(trial.service.lease(profile, platform=platform, rejected=token))
        elif how == "verify":
            await trial.post("POST", f"/profiles/{profile}/platforms/{platform}/verify")
        else:
            request = pb.DeleteProfileRequest(profile_key=profile)
            delete = trial.service.profiles.DeleteProfile
            await trial.grpc(delete(request, metadata=trial.service.metadata()))


def cases(trial: "Trial", sites: list[EchoSite]) -> Iterator[Case]:
    for site in sites:
        at = AtSite(trial, site)
        yield from _echoed(at)
        yield from _named(at)
        yield from _forced(at)
        yield from _silent(at)


def _echoed(at: AtSite) -> Iterator[Case]:
    """Repeat the credential in every form, at each request that has one."""
    trial, site = at.trial, at.site
    for number, (shape, status) in enumerate(product(SHAPES, STATUSES)):

        async def connect(
            shape: str = shape, status: int = status, transport: str = ("grpc", "http")[number % 2]
        ) -> None:
            site.how = lambda said: SHAPES[shape](said, status)
            await at.connect(transport)

        async def later_request(shape: str = shape, status: int = status) -> None:
            site.how = lambda said: SHAPES[shape](said, status)
            # of a login, not the first one
            site.matches = _is_late
            await at.connect()

        async def use(
            shape: str = shape, status: int = status, how: str = USES[number % 3]
        ) -> None:
            profile, token = await at.connected()
            site.how = lambda said: SHAPES[shape](said, status)
            trial.ahead += 120
            trial.order()
            await at.use(how, profile, token)

        yield from (connect, later_request, use)


def _is_late(request: Request) -> bool:
    ends = ("/users/me", "/application-passwords", "/apps/verify_credentials", "/users/")
    return request.path.endswith(ends)


def _named(at: AtSite) -> Iterator[Case]:
    """State the credential as the display name; look at the profile."""
    trial = at.trial

    async def case() -> None:
        at.site.names_itself = True
        profile, token = await at.connected()
        for how in ("look", "verify", "look"):
            if how == "look":
                await trial.post("GET", f"/profiles/{profile}")
            else:
                trial.ahead += 120
                trial.order()
                await at.use(how, profile, token)

    yield from (case, case, case)


def _forced(at: AtSite) -> Iterator[Case]:
    """Raise an exception at every seam, with every secret in its text."""
    trial = at.trial
    errors = [name for name in ERRORS if name != "PlatformUnavailable"]
    numbers = count()
    platform = at.site.platform
    kinds = (
        (SITE_CONNECT[platform], "connect"),
        (SITE_LEASE[platform], "lease"),
        (SITE_VERIFY[platform], "verify"),
    )
    for seams, call in kinds:
        for seam in seams:
            number = next(numbers)

            async def case(
                call: str = call,
                seam: str = name_of(seam),
                error: str = errors[number % len(errors)],
                transport: str = ("grpc", "http")[number % 2],
            ) -> None:
                if call == "connect":
                    trial.order(seam, error)
                    await at.connect(transport)
                    return
                profile, token = await at.connected()
                trial.ahead += 120
                trial.order(seam, error)
                await at.use(call, profile, token)

            yield case


def _silent(at: AtSite) -> Iterator[Case]:
    """Let a connect time out after it has sent the credential."""

    async def case() -> None:
        at.site.how = silent
        await at.connect(timeout=0.6)

    yield case
