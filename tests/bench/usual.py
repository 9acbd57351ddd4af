"""The usual design: the contract as most would implement it, to compare with.

    python -m tests.bench.usual ORIGIN

grpc.aio on uvloop with a class from the generated code, SQLAlchemy's async ORM, Fernet, and the
SDK's `login()` at the server ORIGIN. A lease returns the stored token. It has no limits, deadlines,
idempotency, events, audit, refreshes or checks, and resolves no handle. Prints `ready
grpc=HOST:PORT`, and ends when its standard input closes. Reads the URL of its database from
USUAL_DATABASE, and its key from USUAL_KEY.
"""

import asyncio
import hashlib
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import grpc.aio
import uvloop
from atproto import AsyncClient, AsyncRequest
from atproto_client import Session
from cryptography.fernet import Fernet
from sqlalchemy import DateTime, ForeignKey, event, select
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

from postcore.profiles.v1 import profile_pb2
from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import profile_service_pb2_grpc as profiles_grpc
from postcore.profiles.v1 import session_service_pb2 as sessions_pb
from postcore.profiles.v1 import session_service_pb2_grpc as sessions_grpc
from service.domain.ids import new_profile_key
from service.settings import Settings
from tests.bench.seed import NOWHERE, Owner

MODULE = ("tests.bench.usual",)
PLATFORM = "bluesky"


class Base(DeclarativeBase):
    pass


class ApiKey(Base):
    __tablename__ = "usual_api_keys"
    digest: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]


class Profile(Base):
    __tablename__ = "usual_profiles"
    profile_key: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(index=True)
    connections: Mapped[list["Connection"]] = relationship()


class Connection(Base):
    __tablename__ = "usual_connections"
    profile_key: Mapped[str] = mapped_column(
        ForeignKey("usual_profiles.profile_key"), primary_key=True
    )
    platform: Mapped[str] = mapped_column(primary_key=True)
    did: Mapped[str]
    handle: Mapped[str]
    connected_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    password: Mapped[bytes]
    session: Mapped[bytes]


def opened(database_url: str) -> AsyncEngine:
    scheme, _, rest = database_url.partition("://")
    driver = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}[scheme]
    engine = create_async_engine(f"{driver}://{rest}")
    if scheme == "sqlite":

        @event.listens_for(engine.sync_engine, "connect")
        def _wal(connection: Any, _: Any) -> None:
            connection.execute("PRAGMA journal_mode = WAL")

    return engine


async def like(read: Settings, owners: Sequence[Owner]) -> dict[str, str]:
    """Create the same keys and connected profiles, in a database of the same kind.

    Return the environment of a server on it.
    """
    url, key = read.database_url, Fernet.generate_key()
    url = f"{url}.usual" if url.startswith("sqlite:") else url
    engine, fernet = opened(url), Fernet(key)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session, session.begin():
        for owner in owners:
            for api_key in owner.keys:
                session.add(ApiKey(digest=_digest(api_key), tenant_id=owner.tenant_id))
            for number, (profile_key, token) in enumerate(owner.tokens.items()):
                stored = Session(f"{number}.test", f"did:plc:{number}", token, token, NOWHERE)
                its = [_connection(profile_key, fernet, "abcd-efgh-ijkl-mnop", stored)]
                session.add(
                    Profile(profile_key=profile_key, tenant_id=owner.tenant_id, connections=its)
                )
    await engine.dispose()
    return {"USUAL_DATABASE": url, "USUAL_KEY": key.decode()}


def _digest(api_key: str) -> str:
    return hashlib.sha256(api_key.encode()).hexdigest()


def _connection(key: str, fernet: Fernet, password: str, session: Session) -> Connection:
    return Connection(
        profile_key=key,
        platform=PLATFORM,
        did=session.did,
        handle=session.handle,
        connected_at=datetime.now(UTC),
        password=fernet.encrypt(password.encode()),
        session=fernet.encrypt(session.encode().encode()),
    )


class Usual(profiles_grpc.ProfileServiceServicer, sessions_grpc.SessionServiceServicer):
    def __init__(self, engine: AsyncEngine, fernet: Fernet, origin: str) -> None:
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)
        self._fernet = fernet
        self._origin = origin

    async def ConnectProfile(self, request: Any, context: Any) -> Any:  # noqa: N802
        client = AsyncClient(self._origin, request=AsyncRequest(trust_env=False))
        given = request.credentials
        await client.login(given.handle, given.app_password)
        await client.request.close()
        stored = Session.decode(client.export_session_string())
        async with self._sessions() as session:
            tenant_id = await self._tenant(session, context)
            key = request.profile_key or new_profile_key()
            if not await session.get(Profile, key):
                session.add(Profile(profile_key=key, tenant_id=tenant_id))
            await session.merge(_connection(key, self._fernet, given.app_password, stored))
            await session.commit()
        return pb.ConnectProfileResponse(profile_key=key, platform=PLATFORM, username=stored.handle)

    async def GetProfile(self, request: Any, context: Any) -> Any:  # noqa: N802
        profile = await self._profile(request.profile_key, context)
        shown = profile_pb2.Profile(profile_key=profile.profile_key)
        for connection in profile.connections:
            shown.connected_platforms.add(
                platform=connection.platform,
                account_id=connection.did,
                username=connection.handle,
                display_name=connection.handle,
                state=profile_pb2.CONNECTION_STATE_HEALTHY,
                connected_at=connection.connected_at,
            )
        return pb.GetProfileResponse(profile=shown)

    async def LeaseSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        profile = await self._profile(request.profile_key, context)
        [connection] = profile.connections
        stored = Session.decode(self._fernet.decrypt(connection.session).decode())
        return sessions_pb.LeaseSessionResponse(
            access_token=stored.access_jwt, account_id=stored.did
        )

    async def _profile(self, key: str, context: Any) -> Profile:
        async with self._sessions() as session:
            tenant_id = await self._tenant(session, context)
            wanted = select(Profile).options(selectinload(Profile.connections))
            found = await session.scalar(wanted.where(Profile.profile_key == key))
            if found is None or found.tenant_id != tenant_id:
                await context.abort(grpc.StatusCode.NOT_FOUND, "no such profile")
            assert found is not None
            return found

    async def _tenant(self, session: AsyncSession, context: Any) -> str:
        api_key = dict(context.invocation_metadata()).get("x-api-key", "")
        found = await session.get(ApiKey, _digest(api_key))
        if found is None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no such key")
        assert found is not None
        return found.tenant_id


async def main(origin: str) -> None:
    engine, fernet = opened(os.environ["USUAL_DATABASE"]), Fernet(os.environ["USUAL_KEY"])
    usual = Usual(engine, fernet, origin)  # type: ignore[abstract]
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    profiles_grpc.add_ProfileServiceServicer_to_server(usual, server)
    sessions_grpc.add_SessionServiceServicer_to_server(usual, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"ready grpc=127.0.0.1:{port}", flush=True)  # noqa: T201 - read by the parent process
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
