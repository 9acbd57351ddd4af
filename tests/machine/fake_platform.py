"""Two Bluesky servers and a directory, their accounts, and a record of each login."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from service.sandbox.accounts import Account, Status
from service.sandbox.breakages import EVERY, Breakage, Breakages
from service.sandbox.call import Call
from service.sandbox.faults import AnotherEndpoint, Fault
from service.sandbox.network import Network
from service.sandbox.server import SandboxServer
from service.sandbox.world import World

from .clock import HeldClock

# applies to no account and never ends, so that every call is passed to `find`
LOOKOUT = Breakage(0, AnotherEndpoint(), EVERY, "no account", None)


@dataclass(frozen=True, slots=True)
class Password:
    """An app password, and the server that created it."""

    server: str
    name: str
    text: str = field(repr=False)


@dataclass
class Person:
    """The owner of an account; *passwords* are all that were ever created, oldest first."""

    did: str
    handle: str
    passwords: list[Password] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SeenLogin:
    """A login that arrived: server, account, time, and whether the account lived there."""

    origin: str
    did: str
    at: float
    at_home: bool


class Witness(Breakages):
    """The breakages of *network* for *world*'s server; records the logins that arrive there."""

    def __init__(self, network: Network, world: World, logins: list[SeenLogin]) -> None:
        super().__init__()
        self._network = network
        self._world = world
        self._logins = logins

    def __iter__(self) -> Iterator[Breakage]:
        yield LOOKOUT
        yield from self._network.breakages

    def find(self, call: Call) -> Breakage | None:
        if call.method == "createSession":
            did = call.account or ""
            home = self._network.ledger[did].home is self._world.home
            self._logins.append(SeenLogin(self._world.home.origin, did, call.now(), home))
        return self._network.breakages.find(call)


class FakePlatform:
    """`first` and `second` hold accounts; `directory` holds documents and resolves handles."""

    def __init__(self, clock: HeldClock) -> None:
        self.network = Network(now=clock.seconds)
        self.logins: list[SeenLogin] = []
        self.people: list[Person] = []
        self.down: list[SandboxServer] = []
        self._names = 0
        named = World(now=clock.seconds, ledger=self.network.ledger)
        self.directory, self.first, self.second = (
            SandboxServer(world, Witness(self.network, world, self.logins))
            for world in (named, self.network.first, self.network.second)
        )
        self._ports: dict[SandboxServer, int] = {}

    async def start(self) -> None:
        for server in (self.directory, self.first, self.second):
            await server.start()
            self._ports[server] = server.port

    async def stop(self) -> None:
        self.network.mend()
        for server in self._ports:
            await server.stop()

    def settings(self) -> dict[str, str]:
        """The settings that point the service to the platform."""
        return {
            "PLC_URL": self.directory.origin,
            "HANDLE_RESOLVER_URL": self.directory.origin,
            "TRUSTED_ORIGINS": f"{self.first.origin},{self.second.origin}",
        }

    def newcomer(self) -> Person:
        """Create an account with an app password."""
        self._names += 1
        account = self.network.create(f"h{self._names}.test")
        person = Person(account.did, account.handle)
        self.people.append(person)
        self._note(person, account, *account.app_passwords)
        return person

    def new_password(self, person: Person) -> None:
        """Create another app password at the account's present server."""
        name, _ = self.network.create_app_password(person.did)
        self._note(person, self.network.account(person.did), name)

    def those(self, *statuses: Status) -> list[Person]:
        """Return the owners of accounts in the directory with one of *statuses* (default: any)."""
        standing = {account.did: account.status for account in self.network.accounts()}
        return [
            person
            for person in self.people
            if person.did in standing
            and not self.network.ledger[person.did].tombstoned
            and (not statuses or standing[person.did] in statuses)
        ]

    def opens(self, person: Person, password: Password) -> bool:
        """Return whether *password* gives a session that may be stored."""
        if person not in self.those(Status.ACTIVE):
            return False
        account = self.network.account(person.did)
        here = self.network.world_of(account).home.origin == password.server
        return here and not account.app_passwords[password.name].revoked

    def rename(self, person: Person) -> None:
        self._names += 1
        person.handle = f"h{self._names}.test"
        self.network.rename(person.did, person.handle)

    def revoke(self, person: Person, password: Password) -> None:
        """Revoke *password* at the server that created it, unless that was done."""
        world = self.world_at(password.server)
        if not world.account(person.did).app_passwords[password.name].revoked:
            world.revoke_app_password(person.did, password.name)

    def world_at(self, origin: str) -> World:
        return (
            self.network.first if self.network.first.home.origin == origin else self.network.second
        )

    async def toggle(self, server: SandboxServer) -> None:
        """Take a server offline, or bring it back at the same address."""
        if server in self.down:
            await server.start(port=self._ports[server])
            self.down.remove(server)
        else:
            await server.stop()
            self.down.append(server)

    async def mend(self) -> None:
        """End all faults except those of accounts and passwords."""
        self.network.mend()
        for server in list(self.down):
            await self.toggle(server)

    @property
    def disturbed(self) -> bool:
        return bool(self.down) or any(self.network.breakages)

    def break_(self, fault: Fault, method: str, person: Person | None, calls: int | None) -> None:
        self.network.breakages.add(
            fault, method=method, account=person.did if person else None, calls=calls
        )

    def _note(self, person: Person, account: Account, *names: str) -> None:
        server = self.network.world_of(account).home.origin
        for name in names:
            text = account.app_passwords[name].password
            person.passwords.append(Password(server, name, text))
