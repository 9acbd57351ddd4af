"""Control: the HTTP interface that changes a running sandbox. Web pages have no access.

`Control._routes` lists the paths; docs/sandbox.md describes them. A reply contains the values that
were generated because the request did not give them.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from inspect import signature
from ipaddress import ip_address
from typing import get_args
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from service.sandbox import body
from service.sandbox.accounts import CHANGES, Account
from service.sandbox.body import Field
from service.sandbox.breakages import EVERY, Breakage
from service.sandbox.call import method_of
from service.sandbox.faults import FAULTS, settings_of
from service.sandbox.listener import Listener
from service.sandbox.network import Network
from service.sandbox.refusals import (
    Forbidden,
    InvalidRequest,
    InvalidValue,
    Refusal,
    UnknownFault,
    UnknownSwitch,
)
from service.sandbox.server import SandboxServer
from service.sandbox.sites.site import Site
from service.sandbox.xrpc import in_json

Reply = dict[str, object]
Operation = Callable[..., Reply]


class Control:
    """Controls *network*, the call counts of *servers*, and *sites*, on a port of its own."""

    def __init__(
        self, network: Network, servers: Sequence[SandboxServer], sites: Sequence[Site] = ()
    ) -> None:
        self._network = network
        self._servers = servers
        self._sites = {site.platform: site for site in sites}
        self._listener: Listener | None = None
        self._application = Starlette(
            routes=list(self._routes()),
            exception_handlers={Refusal: _refused, HTTPException: _not_found},
        )
        self._application.router.redirect_slashes = False

    @property
    def address(self) -> str:
        """HOST:PORT; raises RuntimeError unless it runs."""
        if self._listener is None:
            raise RuntimeError("the control surface does not run")
        return self._listener.address

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen. Port 0: any free one. Raises ValueError off loopback, and OSError if taken."""
        self._listener = await Listener.start(self, host, port)

    async def stop(self) -> None:
        """Close every connection at once. Idempotent."""
        listener, self._listener = self._listener, None
        if listener:
            await listener.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        # a browser sends Origin with requests that change something, and always the host name that
        # the page resolved to this machine
        if "origin" in request.headers or not _is_this_machine(request.headers.get("host", "")):
            error = Forbidden("the sandbox takes no orders from web pages, or by another name")
            await (await _refused(request, error))(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    def _routes(self) -> Iterator[Route]:
        yield _route("GET /accounts", self._list_accounts)
        yield _route("POST /accounts", self._create_account)
        yield _route("GET /accounts/{account}", self._show_account)
        yield _route("DELETE /accounts/{account}", self._delete_account)
        yield _route("POST /accounts/{account}/app-passwords", self._create_app_password)
        yield _route("DELETE /accounts/{account}/app-passwords/{name}", self._revoke_app_password)
        yield _route("POST /accounts/{account}/change-password", self._change_password)
        yield _route("POST /accounts/{account}/rename", self._rename)
        for change in CHANGES:
            yield _route(f"POST /accounts/{{account}}/{change}", partial(self._change, change))
        yield _route("GET /faults", self._list_faults)
        yield _route("POST /faults", self._break)
        yield _route("DELETE /faults", self._mend)
        yield _route("DELETE /faults/{number}", self._mend)
        yield _route("GET /counts", self._count)
        yield _route("DELETE /counts", self._clear_counts)
        yield _route("GET /sites", self._list_sites)
        yield _route("POST /sites/{platform}/break", self._break_site)
        yield _route("DELETE /sites/{platform}/break", self._mend_site)
        yield _route("POST /sites/{platform}/{change}", self._change_site)
        yield _route("POST /reset", self._reset)

    # path parameters are positional, fields of the body keyword-only

    def _list_accounts(self) -> Reply:
        return {"accounts": [self._account(each) for each in self._network.accounts()]}

    def _show_account(self, account: str) -> Reply:
        return self._account(self._network.account(account))

    def _create_account(
        self, *, handle: str, password: str = "", app_password: str = "", email: str = ""
    ) -> Reply:
        return self._account(
            self._network.create(handle, password=password, app_password=app_password, email=email)
        )

    def _delete_account(self, account: str) -> Reply:
        self._network.delete(account)
        return {}

    def _create_app_password(
        self, account: str, *, name: str = "", password: str = "", privileged: bool = False
    ) -> Reply:
        name, password = self._network.create_app_password(
            account, called=name, password=password, privileged=privileged
        )
        return {"name": name, "password": password}

    def _revoke_app_password(self, account: str, name: str) -> Reply:
        self._network.revoke_app_password(account, name)
        return {}

    def _change_password(self, account: str, *, password: str = "") -> Reply:
        return {"password": self._network.change_password(account, password)}

    def _rename(self, account: str, *, handle: str) -> Reply:
        renamed = self._network.account(account)
        self._network.rename(renamed.did, handle)
        return self._account(renamed)

    def _change(self, change: str, account: str) -> Reply:
        did = self._network.account(account).did
        getattr(self._network, change.replace("-", "_"))(did)
        return self._account(self._network.account(did))

    def _list_faults(self) -> Reply:
        return {"faults": [_breakage(each) for each in self._network.breakages]}

    def _break(
        self,
        /,
        *,
        kind: str,
        method: str = EVERY,
        account: str = "",
        calls: int | None = None,
        **given: object,
    ) -> Reply:
        fault = FAULTS.get(kind)
        if fault is None:
            raise UnknownFault(f"there is no fault {kind}; there are {', '.join(FAULTS)}")
        settings = settings_of(fault)
        body.checked(given, settings)
        _require_known(given, [*_fields(self._break).values(), *settings])
        try:
            made = fault(**given)
        except ValueError as error:
            raise InvalidValue(str(error)) from None
        return _breakage(self._network.break_(made, method, account, calls))

    def _mend(self, number: str = "") -> Reply:
        if number and not (number.isascii() and number.isdigit()):
            raise UnknownFault(f"no fault of the number {number} is in force")
        self._network.mend(int(number) if number else None)
        return {}

    def _count(self) -> Reply:
        methods: Counter[str] = Counter()
        for server in self._servers:
            for path, times in server.counts.items():
                methods[method_of(path)] += times
        return {
            "methods": methods,
            "paths": {server.origin: server.counts for server in self._servers},
        }

    def _clear_counts(self) -> Reply:
        for server in self._servers:
            server.counts.clear()
        return {}

    def _list_sites(self) -> Reply:
        return {"sites": [_site(each) for each in self._sites.values()]}

    def _break_site(self, platform: str, *, status: int = 503) -> Reply:
        site = self._site(platform)
        site.break_(status)
        return _site(site)

    def _mend_site(self, platform: str) -> Reply:
        site = self._site(platform)
        site.break_(None)
        return _site(site)

    def _change_site(self, platform: str, change: str, *, account: str = "") -> Reply:
        site = self._site(platform)
        site.change(change, account)
        return _site(site)

    def _site(self, platform: str) -> Site:
        if platform not in self._sites:
            known = ", ".join(self._sites)
            raise UnknownSwitch(f"there is no site of {platform}; there are {known}")
        return self._sites[platform]

    def _reset(self) -> Reply:
        self._network.reset()
        for site in self._sites.values():
            site.reset()
        return self._clear_counts()

    def _account(self, account: Account) -> Reply:
        entry = self._network.ledger[account.did]
        return {
            "did": account.did,
            "handle": account.handle,
            "email": account.email,
            "status": account.status,
            "tombstoned": entry.tombstoned,
            "server": entry.home.origin,
            "password": account.password,
            "appPasswords": [
                {"name": each.name, "password": each.password, "privileged": each.privileged}
                for each in account.app_passwords.values()
                if not each.revoked
            ],
        }


def _breakage(breakage: Breakage) -> Reply:
    settings = settings_of(type(breakage.fault))
    return {
        "number": breakage.number,
        "kind": breakage.fault.name,
        "method": breakage.method,
        "account": breakage.account,
        "calls": breakage.left,
        **{each.name: getattr(breakage.fault, each.name) for each in settings},
    }


def _site(site: Site) -> Reply:
    return {
        "platform": site.platform,
        "origin": site.origin,
        "credentials": dict(site.credentials()),
        "changes": sorted(site.changes()),
        "status": site.status,
        "counts": site.counts,
    }


def _route(where: str, operation: Operation) -> Route:
    """Return a route that calls *operation* with the names in the path and the fields of the body.

    The fields are its keyword-only parameters, in camel case. Other fields are rejected, unless it
    accepts any keyword.
    """
    verb, path = where.split()
    fields = _fields(operation)
    is_open = any(
        each.kind is each.VAR_KEYWORD for each in signature(operation).parameters.values()
    )

    async def endpoint(request: Request) -> Response:
        known = list(fields.values())
        if body.is_empty(request):
            given = body.checked({}, known)
        else:
            given = await body.read(request, known)
        if not is_open:
            _require_known(given, known)
        names = {each.name: name for name, each in fields.items()}
        arguments = {names.get(name, name): value for name, value in given.items()}
        return in_json(operation(**request.path_params, **arguments), 200, {})

    return Route(path, endpoint, methods=[verb])


def _fields(operation: Operation) -> dict[str, Field]:
    """Return the fields of *operation* by the names of its parameters."""
    return {
        each.name: Field(
            re.sub("_(.)", lambda match: match[1].upper(), each.name),
            next(iter(get_args(each.annotation)), each.annotation),
            required=each.default is each.empty,
        )
        for each in signature(operation).parameters.values()
        if each.kind is each.KEYWORD_ONLY
    }


def _require_known(given: dict[str, object], known: Sequence[Field]) -> None:
    """Reject unknown fields: they may be misspelt."""
    names = [field.name for field in known]
    for name in given:
        if name not in names:
            expected = ", ".join(names) or "no keys"
            raise InvalidRequest(f'Unknown key "{name}" at $; this switch takes {expected}')


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal), "the handler is for these"
    return in_json({"error": error.error, "message": error.message}, error.status, {})


async def _not_found(request: Request, _: Exception) -> Response:
    where = f"{request.method} {request.scope['path']}"
    return await _refused(request, UnknownSwitch(f"there is no switch {where} here"))


def _is_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
