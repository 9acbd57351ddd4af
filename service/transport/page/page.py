"""The connect page: shows the link's form, takes it, and shows how it ended.

Whoever has the link may use it: no cookie is set or read, and a form holds all that it takes. What
a person types goes through the boundary, in the name of the API key that made the link.
"""

from collections.abc import Iterable
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.connections.links import PATH, ConnectLinks, OpenedLink
from service.domain import audit
from service.domain.errors import (
    ConnectLinkNotFound,
    InvalidCredentials,
    InvalidRequest,
    ProfileNotFound,
    ServiceError,
)
from service.domain.links import LinkState, TenantPage
from service.domain.model import AuthMethod, Caller, Connected, Credentials, PlatformCard, Scope
from service.runtime.turns import Turns
from service.transport.boundary import Boundary, Call
from service.transport.http.edge import Answer
from service.transport.http.request import header
from service.transport.page import view
from service.transport.page.form import form_of, is_of_this_page
from service.transport.page.response import html
from service.transport.page.words import Words, words_for
from service.transport.status import STATUS, seconds_to_wait

METHOD = "ConnectByLink"
"""The name of a try in the log and in the audit trail: no method of the contract."""
LOOK_UP = "FindHandleByLink"
ROUTE = f"{PATH}{{token}}"
HANDLE_ROUTE = f"{ROUTE}/handle"
MAX_SECONDS = 20.0
"""Until a try ends, of which `ConnectProfile` takes 15."""
MAX_PAGES_PER_TURN = 1
"""A flood of requests for pages delays itself, and no calls."""
MAX_PARAMETERS = 10
MAX_HANDLE_LENGTH = 300
ENDED = {LinkState.EXPIRED: 410, LinkState.REVOKED: 410, LinkState.SPENT: 410}


class ConnectPage:
    """Serves the page of every link. *cards*: the platforms, which are its only source of forms."""

    def __init__(
        self, links: ConnectLinks, boundary: Boundary, cards: Iterable[PlatformCard]
    ) -> None:
        self._links = links
        self._boundary = boundary
        self._cards = {
            card.platform: card for card in cards if card.auth_method is AuthMethod.CREDENTIALS
        }
        self.answers: dict[str, dict[str, Answer]] = {
            ROUTE: {"GET": self.show, "POST": self.submit},
            HANDLE_ROUTE: {"POST": self.look_up},
        }
        """The answers to requests, by path and verb."""
        self._turns = Turns(MAX_PAGES_PER_TURN)

    async def show(self, request: Request, _: str, segments: dict[str, str]) -> Response:
        """Answer GET: the form, or how the link ended. Changes nothing."""
        visit = await self._visit(request, segments["token"])
        if isinstance(visit, Response):
            return visit
        query = dict(parse_qsl(request.scope["query_string"].decode("latin-1"))[:MAX_PARAMETERS])
        return self._shown(request, visit, query.get("platform", ""))

    async def submit(self, request: Request, sent_id: str, segments: dict[str, str]) -> Response:
        """Answer POST: a try. A success leads to the page again, by GET."""
        token = segments["token"]
        visit = await self._visit(request, token)
        if isinstance(visit, Response):
            return visit
        words = self._words(request, visit)
        if not is_of_this_page(request, self._links.public_url):
            return html(request, words, TenantPage(), 403, view.ended(words, "refused"))
        try:
            form = await form_of(request)
        except ServiceError as error:
            status = STATUS[type(error)].http
            return html(request, words, visit.page, status, view.ended(words, "refused"))
        card = self._cards.get(visit.link.platform or form.get("platform", ""))
        if visit.state is not LinkState.OPEN or card is None:
            return self._shown(request, visit, "")
        typed = {each.name: form[each.name] for each in card.fields if form.get(each.name)}
        try:
            if not await self._links.take_try(visit.link, card.platform, Credentials(typed)):
                raise ConnectLinkNotFound  # it has had its last try, or has ended
            await self._connect(sent_id, visit, card, Credentials(typed))
        except ServiceError as error:
            return await self._refused(request, token, card, typed, error)
        # this same path, without naming it
        return Response(
            status_code=303, headers={"location": "?", "referrer-policy": "no-referrer"}
        )

    async def look_up(self, request: Request, sent_id: str, segments: dict[str, str]) -> Response:
        """Answer whether a handle is known, as JSON: {"found": true, false, or null if unknown}."""
        visit = await self._visit(request, segments["token"])
        found = None
        if not isinstance(visit, Response) and visit.state is LinkState.OPEN:
            found = await self._found(request, sent_id, visit)
        return JSONResponse({"found": found})

    async def _found(self, request: Request, sent_id: str, visit: OpenedLink) -> bool | None:
        link = visit.link
        if not is_of_this_page(request, self._links.public_url):
            return None

        async def work(caller: Caller) -> bool | None:
            return await self._links.knows_handle(caller, link, platform, handle)

        try:
            form = await form_of(request)
            platform, handle = link.platform or form.get("platform", ""), form.get("handle", "")
            if platform not in self._cards or not 0 < len(handle) <= MAX_HANDLE_LENGTH:
                return None
            return await self._boundary.run(
                Call(LOOK_UP, "http", None, sent_id, None, link_key_id=link.key_id), work
            )
        except ServiceError:
            return None

    async def _connect(
        self, sent_id: str, visit: OpenedLink, card: PlatformCard, credentials: Credentials
    ) -> Connected:
        link = visit.link
        call = Call(
            METHOD,
            "http",
            None,
            sent_id,
            Scope.PROFILES_WRITE,
            MAX_SECONDS,
            route=f"POST {ROUTE}",
            link_key_id=link.key_id,
        )

        async def work(caller: Caller) -> Connected:
            if (entry := audit.current()) is not None:
                entry.profile_key, entry.platform = link.profile_key or "", card.platform
            return await self._links.connect(caller, link, card.platform, credentials)

        return await self._boundary.run(call, work)

    async def _refused(
        self,
        request: Request,
        token: str,
        card: PlatformCard,
        typed: dict[str, str],
        error: ServiceError,
    ) -> Response:
        """Show the form again with the problem, unless the link has ended meanwhile."""
        visit = await self._visit(request, token)
        if isinstance(visit, Response):
            return visit
        if visit.state is not LinkState.OPEN:
            return self._shown(request, visit, "")
        words = self._words(request, visit)
        problem = view.problem_of(words, visit, card, error)
        # not 401: a browser takes that as a request for credentials of its own
        is_typed = isinstance(error, InvalidCredentials | InvalidRequest)
        status = 422 if is_typed else STATUS[type(error)].http
        wait = seconds_to_wait(error)
        headers = {} if wait is None else {"retry-after": str(wait)}
        values = {**view.form(words, visit, card, typed, problem), "link": visit.link}
        return html(request, words, visit.page, status, values, headers)

    async def _visit(self, request: Request, token: str) -> OpenedLink | Response:
        """Return the link of *token*, or the page that says why there is none."""
        await self._turns.take()
        try:
            return await self._links.open(token)
        except ServiceError as error:
            is_unknown = isinstance(error, ConnectLinkNotFound | ProfileNotFound)
            words = self._words(request)
            ended = view.ended(words, "unknown" if is_unknown else "away")
            status = 404 if is_unknown else STATUS[type(error)].http
            return html(request, words, TenantPage(), status, ended)

    def _shown(self, request: Request, visit: OpenedLink, platform: str) -> Response:
        words, link = self._words(request, visit), visit.link
        status = ENDED.get(visit.state, 200)
        card = self._cards.get(link.platform or platform)
        if visit.state in ENDED:
            values = view.ended(words, visit.state.value, link.app_name)
        elif visit.state is LinkState.USED and card is not None:
            values = view.done(words, visit, card)
        elif card is None:
            values = view.choose(words, visit, self._cards)
        else:
            values = view.form(words, visit, card, {})
        return html(request, words, visit.page, status, {**values, "link": link})

    def _words(self, request: Request, visit: OpenedLink | None = None) -> Words:
        locale = visit.link.locale if visit else ""
        return words_for(locale, header(request, "accept-language") or "")
