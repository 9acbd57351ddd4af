"""The registry, with a toy platform: one file and one line."""

from pathlib import Path
from typing import Any

import pytest

from postcore.profiles.v1 import platform_service_pb2
from service.domain.errors import InvalidCredentials, UnsupportedPlatform, UseGetForOAuth
from service.domain.model import (
    Account,
    AccountStatus,
    AuthMethod,
    CredentialField,
    Credentials,
    InvalidCredentialsCause,
    Lease,
    Login,
    PlatformCard,
    Refreshed,
    Session,
)
from service.platforms import registry
from service.platforms.egress.context import EgressContext
from service.platforms.registry import ADAPTERS, Registry
from tests.support.bluesky import SandboxBluesky
from tests.support.running import running


class ToyPlatform:
    """A platform of the tests: any handle, one app password, no server."""

    card = PlatformCard(
        "toy",
        "Toy",
        AuthMethod.CREDENTIALS,
        fields=(CredentialField("handle", "Name"), CredentialField("appPassword", "Word")),
    )

    def __init__(self, context: EgressContext) -> None: ...

    async def warm_up(self) -> None: ...

    def tidy(self, credentials: Credentials) -> Credentials:
        return credentials

    def asked_host(self, credentials: Credentials) -> str:
        return "toy.example"

    async def identify(self, credentials: Credentials) -> Account:
        return Account(f"toy:{credentials['handle']}", credentials["handle"], "toy://box")

    async def log_in(self, credentials: Credentials, account: Account) -> Login:
        if credentials["appPassword"] != "please":
            raise InvalidCredentials(self.card, InvalidCredentialsCause.REJECTED_BY_PLATFORM)
        return Login(account, Session("access", "refresh", 1), credentials["appPassword"])

    async def log_in_again(self, secret: str, account: Account) -> Login:
        return await self.log_in(Credentials(appPassword=secret), account)

    async def refresh(self, session: Session, account: Account) -> Refreshed:
        return Refreshed(session)

    async def account_status(self, account: Account) -> AccountStatus:
        return AccountStatus.ACTIVE

    def lend(self, session: Session, account: Account) -> Lease:
        return Lease(
            session.access_token, "Toy access", account, account.origin, session.expires_at
        )

    async def log_out(self, session: Session, account: Account) -> None: ...


async def test_a_new_platform_is_a_file_and_a_line(
    sandbox: SandboxBluesky, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its class in ADAPTERS it is listed, connected to and refused in its own name."""
    monkeypatch.setattr("service.app.build.ADAPTERS", (*ADAPTERS, ToyPlatform))
    async with running(database, sandbox.settings()) as service:
        reply = await service.connect("someone", "please", platform="toy")
        assert (reply.platform, reply.username) == ("toy", "someone")
        refusal = await service.refused("someone", "now", platform="toy")
        assert refusal.message == "Invalid Toy credentials"
        listed = await service.platforms.ListPlatforms(
            platform_service_pb2.ListPlatformsRequest(), metadata=service.metadata()
        )
        assert "toy" in [platform.id for platform in listed.platforms]
        unknown = await service.refused("a", "b", platform="none")
        supported = unknown.metadata["supported"].split(",")
        assert {"bluesky", "toy"} <= set(supported)
        assert supported == sorted(supported)
        # one profile, two platforms
        person = await sandbox.person()
        both = await service.connect(
            person.handle, person.app_password, profile_key=reply.profile_key
        )
        assert both.profile_key == reply.profile_key
        assert len(service.rows("SELECT * FROM connections")) == 2


async def test_a_credential_that_the_platform_does_not_know_is_refused(
    sandbox: SandboxBluesky, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INVALID_REQUEST, naming it."""
    narrow = type(
        "Narrow",
        (ToyPlatform,),
        {"card": PlatformCard("toy", "Toy", AuthMethod.CREDENTIALS, ToyPlatform.card.fields[:1])},
    )
    monkeypatch.setattr("service.app.build.ADAPTERS", (narrow,))
    async with running(database, sandbox.settings()) as service:
        refusal = await service.refused("someone", "please", platform="toy")
        assert refusal.reason == "INVALID_REQUEST"
        assert refusal.fields == ("credentials.app_password",)


@pytest.mark.parametrize("platform", ["linkedin", "twitter", "x", "facebook", "instagram"])
def test_oauth_platforms_are_sent_elsewhere(platform: str) -> None:
    """In the specification's sentence, with the name as it was typed in both places."""
    with pytest.raises(UseGetForOAuth) as caught:
        Registry([]).by_credentials(platform)
    assert caught.value.message == (
        f"{platform} requires OAuth. Use GET /profiles/connect?platform={platform}"
        "&apiKey=YOUR_KEY&returnUrl=YOUR_URL"
    )


@pytest.mark.parametrize("platform", ["X", "LinkedIn", "mastodon", "blue sky", ""])
def test_ids_are_exact(platform: str) -> None:
    """No guessing: any other spelling is unsupported."""
    with pytest.raises(UnsupportedPlatform):
        Registry([]).by_credentials(platform)


def test_every_alias_leads_somewhere() -> None:
    assert set(registry.ALSO_KNOWN_AS.values()) <= registry.OAUTH.keys()


def test_two_adapters_with_one_id_are_an_error() -> None:
    """A start fails: the second would replace the first."""
    toy: Any = ToyPlatform
    with pytest.raises(ValueError, match="two adapters have the id 'toy'"):
        Registry([toy(None), toy(None)])
