"""Sites: finds a site by its address, and reads its index, without a credential."""

import httpx

from service.domain.errors import InvalidCredentials, PlatformUnavailable
from service.domain.model import InvalidCredentialsCause
from service.platforms.egress.context import EgressContext
from service.platforms.egress.dns import NameNotFound
from service.platforms.unavailable import bad_status
from service.platforms.wordpress import answers
from service.platforms.wordpress.address import Site
from service.platforms.wordpress.answers import Index
from service.platforms.wordpress.card import CARD

INDEX_FIELDS = "name,home,url,authentication,namespaces"
"""The bare index has 160 KB and more."""


class Sites:
    """Asks for the index at the API's root of pretty permalinks, then at that of plain ones."""

    def __init__(self, context: EgressContext) -> None:
        self._context = context

    async def find(self, home: str) -> tuple[Site, Index]:
        """Return the site that *home* leads to, and its index.

        Raises InvalidCredentials if there is none of WordPress's, and PlatformUnavailable.
        """
        blocked: httpx.Response | None = None
        for is_plain in (False, True):
            url = _url(home, is_plain)
            try:
                url, response = await self._context.find(url)
            except NameNotFound:
                break
            except PlatformUnavailable as error:
                # of plain permalinks it may be a page, of any size
                if is_plain or not answers.says_nothing(error):
                    raise
                continue
            site, index = Site.of_root(url), answers.index(response)
            if site is not None and index is not None:
                return site, index
            self._raise_outage(response)
            if site is not None and (stated := answers.home_of_closed(response)) is not None:
                # whether it takes application passwords is known when one was tried
                return site, Index(stated, has_app_passwords=True)
            if response.status_code in answers.BLOCKED:
                blocked = response
        if blocked is not None:
            raise bad_status(blocked.status_code, blocked.headers, self._context.clock.now())
        raise InvalidCredentials(CARD, InvalidCredentialsCause.SITE_NOT_FOUND)

    async def index(self, home: str) -> Index | None:
        """Return the index of the site at *home*; None if what answers there states none.

        Raises PlatformUnavailable.
        """
        for is_plain in (False, True):
            try:
                response = await self._context.call("GET", _url(home, is_plain))
            except PlatformUnavailable as error:
                if not answers.says_nothing(error):
                    raise
                continue
            if (index := answers.index(response)) is not None:
                return index
            self._raise_outage(response)
        return None

    def _raise_outage(self, response: httpx.Response) -> None:
        answers.raise_outage(response, self._context.clock.now())


def _url(home: str, is_plain: bool) -> str:
    return Site(home, is_plain).url("/", _fields=INDEX_FIELDS)
