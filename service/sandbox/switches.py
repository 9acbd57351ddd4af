"""Switch: one thing that can be done to a running sandbox, by its verb and path.

    GET    /accounts                                 all of them, with their passwords
    POST   /accounts                                 handle, password, appPassword, email
    GET    /accounts/{name}                          by handle, DID or e-mail address
    DELETE /accounts/{name}
    POST   /accounts/{name}/app-passwords            name, password, privileged
    DELETE /accounts/{name}/app-passwords/{called}
    POST   /accounts/{name}/change-password          password
    POST   /accounts/{name}/rename                   handle
    POST   /accounts/{name}/take-down · lift · suspend · deactivate · activate · tombstone · migrate
    GET    /faults                                   those in force
    POST   /faults                                   kind, method, account, calls, and its settings
    DELETE /faults · /faults/{number}
    GET    /counts
    DELETE /counts
    POST   /reset                                    the accounts of the seed, and nothing broken

Whatever is made up where it is not given is in the reply.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.sandbox.accounts import CHANGES, Account
from service.sandbox.body import checked
from service.sandbox.breakages import EVERY, Breakage
from service.sandbox.call import method_of
from service.sandbox.fault import settings_of
from service.sandbox.faults import FAULTS
from service.sandbox.field import Field
from service.sandbox.mistakes import InvalidValue, UnknownFault, UnknownSwitch
from service.sandbox.network import Network
from service.sandbox.refusals import InvalidRequest
from service.sandbox.server import SandboxServer

BREAKAGE = (
    Field("kind", str, required=True),
    Field("method", str),
    Field("account", str),
    Field("calls", int),
)

Named = Mapping[str, str]
Given = Mapping[str, Any]
Told = dict[str, object]


@dataclass(frozen=True, slots=True)
class Switch:
    """What *turn* does with the names in the path and the fields of the body."""

    verb: str
    path: re.Pattern[str]
    turn: Callable[[Named, Given], Told]
    fields: tuple[Field, ...]
    others: bool


class Switches:
    """Those of *network*, and of what is counted at *servers*."""

    def __init__(self, network: Network, servers: Sequence[SandboxServer]) -> None:
        self._network = network
        self._servers = servers
        self._all: list[Switch] = []
        password = Field("password", str)
        handle = Field("handle", str, required=True)
        self._add("GET /accounts", self._list_accounts)
        self._add(
            "POST /accounts",
            self._create_account,
            handle,
            password,
            Field("appPassword", str),
            Field("email", str),
        )
        self._add("GET /accounts/{name}", self._show_account)
        self._add("DELETE /accounts/{name}", self._delete_account)
        self._add(
            "POST /accounts/{name}/app-passwords",
            self._create_app_password,
            Field("name", str),
            password,
            Field("privileged", bool),
        )
        self._add("DELETE /accounts/{name}/app-passwords/{called}", self._revoke_app_password)
        self._add("POST /accounts/{name}/change-password", self._change_password, password)
        self._add("POST /accounts/{name}/rename", self._rename, handle)
        self._add(f"POST /accounts/{{name}}/(?P<switch>{'|'.join(CHANGES)})", self._change)
        self._add("GET /faults", self._list_faults)
        self._add("POST /faults", self._break, *BREAKAGE, others=True)
        self._add("DELETE /faults", self._mend)
        self._add("DELETE /faults/{number}", self._mend)
        self._add("GET /counts", self._count)
        self._add("DELETE /counts", self._forget_counts)
        self._add("POST /reset", self._reset)

    def find(self, verb: str, path: str) -> tuple[Switch, Named]:
        """The switch, and the names in *path*; raises UnknownSwitch."""
        for switch in self._all:
            if switch.verb == verb and (match := switch.path.fullmatch(path)):
                return switch, match.groupdict()
        raise UnknownSwitch(f"there is no switch {verb} {path} here")

    def _add(
        self, where: str, turn: Callable[[Named, Given], Told], *given: Field, others: bool = False
    ) -> None:
        verb, _, path = where.partition(" ")
        pattern = re.compile(path.replace("{", "(?P<").replace("}", ">[^/]+)"))
        self._all.append(Switch(verb, pattern, turn, given, others))

    def _list_accounts(self, _: Named, __: Given) -> Told:
        return {"accounts": [self._account(each) for each in self._network.accounts()]}

    def _show_account(self, named: Named, _: Given) -> Told:
        return self._account(self._network.account(named["name"]))

    def _create_account(self, _: Named, given: Given) -> Told:
        return self._account(
            self._network.create(
                given["handle"],
                password=given.get("password", ""),
                app_password=given.get("appPassword", ""),
                email=given.get("email", ""),
            )
        )

    def _delete_account(self, named: Named, _: Given) -> Told:
        self._network.delete(named["name"])
        return {}

    def _create_app_password(self, named: Named, given: Given) -> Told:
        called, password = self._network.create_app_password(
            named["name"],
            called=given.get("name", ""),
            password=given.get("password", ""),
            privileged=given.get("privileged", False),
        )
        return {"name": called, "password": password}

    def _revoke_app_password(self, named: Named, _: Given) -> Told:
        self._network.revoke_app_password(named["name"], named["called"])
        return {}

    def _change_password(self, named: Named, given: Given) -> Told:
        return {"password": self._network.change_password(named["name"], given.get("password", ""))}

    def _rename(self, named: Named, given: Given) -> Told:
        account = self._network.account(named["name"])
        self._network.rename(account.did, given["handle"])
        return self._account(account)

    def _change(self, named: Named, _: Given) -> Told:
        account = self._network.account(named["name"])
        getattr(self._network, named["switch"].replace("-", "_"))(account.did)
        return self._account(self._network.account(account.did))

    def _list_faults(self, _: Named, __: Given) -> Told:
        return {"faults": [self._breakage(each) for each in self._network.breakages]}

    def _break(self, _: Named, given: Given) -> Told:
        kind = FAULTS.get(given["kind"])
        if kind is None:
            raise UnknownFault(f"there is no fault {given['kind']}; there are {', '.join(FAULTS)}")
        settings = settings_of(kind)
        checked(given, settings)
        require_known(given, (*BREAKAGE, *settings))
        try:
            fault = kind(**{each.name: given[each.name] for each in settings if each.name in given})
        except ValueError as error:
            raise InvalidValue(str(error)) from None
        return self._breakage(
            self._network.break_(
                fault,
                given.get("method", EVERY),
                given.get("account", ""),
                given.get("calls"),
            )
        )

    def _mend(self, named: Named, _: Given) -> Told:
        number = named.get("number", "")
        if number and not (number.isascii() and number.isdigit()):
            raise UnknownFault(f"no fault of the number {number} is in force")
        self._network.mend(int(number) if number else None)
        return {}

    def _count(self, _: Named, __: Given) -> Told:
        methods: Counter[str] = Counter()
        for server in self._servers:
            for path, times in server.counts.items():
                methods[method_of(path)] += times
        return {
            "methods": methods,
            "paths": {server.origin: server.counts for server in self._servers},
        }

    def _forget_counts(self, _: Named, __: Given) -> Told:
        for server in self._servers:
            server.counts.clear()
        return {}

    def _reset(self, named: Named, given: Given) -> Told:
        self._network.reset()
        return self._forget_counts(named, given)

    def _account(self, account: Account) -> Told:
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

    def _breakage(self, breakage: Breakage) -> Told:
        settings = {
            each.name: getattr(breakage.fault, each.name)
            for each in settings_of(type(breakage.fault))
        }
        return {
            "number": breakage.number,
            "kind": breakage.fault.name,
            "method": breakage.method,
            "account": breakage.account,
            "calls": breakage.left,
            **settings,
        }


def require_known(given: Given, known: Sequence[Field]) -> None:
    """Refuse what is not asked for: it may be a misspelling of what is."""
    for name in given:
        if name not in [field.name for field in known]:
            names = ", ".join(field.name for field in known) or "no keys"
            raise InvalidRequest(f'Unknown key "{name}" at $; this switch takes {names}')
