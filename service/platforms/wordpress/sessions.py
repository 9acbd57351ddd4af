"""What of a WordPress connection is kept as text: its credential and its session."""

import json
from base64 import b64encode
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from service.domain.model import SECOND, Micros, Session
from service.domain.platform import SessionEnded
from service.platforms.wordpress.address import Site

SESSION_LIFE: Micros = 3600 * SECOND
"""How long a session is lent. WordPress has none: it is an application password that we delete."""


@dataclass(frozen=True, slots=True)
class Credential:
    """The login name and the application password that the owner pasted."""

    username: str
    password: str = field(repr=False)
    is_plain: bool

    @property
    def authorization(self) -> str:
        return basic(self.username, self.password)

    def as_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class Tokens:
    """A session: an application password of ours, that the credential has made.

    *pasted*: the uuid of the owner's; *minted*: of ours; *former*: of the one before, which stays
    until the next renewal: what was lent of it has not expired, and a renewal may fail to be saved.
    """

    site: Site
    username: str
    pasted: str
    minted: str
    password: str = field(repr=False)
    former: str = ""

    @property
    def authorization(self) -> str:
        return basic(self.username, self.password)

    def session(self, now: Micros) -> Session:
        """Return the session of tokens that were minted *now*."""
        kept = asdict(self)
        del kept["password"]
        return Session(self.password, json.dumps(kept), now + SESSION_LIFE)

    @classmethod
    def parse(cls, session: Session) -> Self:
        """Return the tokens in *session*; raise SessionEnded if they are none."""
        try:
            kept: dict[str, Any] = json.loads(session.refresh_token)
            site = Site(**kept.pop("site"))
            return cls(site, password=session.access_token, **kept)
        except (ValueError, KeyError, TypeError):
            raise SessionEnded from None


def basic(username: str, password: str) -> str:
    """Return the header with which *username* logs in."""
    return f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"
