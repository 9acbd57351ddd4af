"""Victim: a connection whose rows a database writer tampers with."""

from dataclasses import dataclass
from typing import Any, Self

from service.crypto.keyring import Keyring
from service.domain.records import Purpose
from tests.support.running import Running

Statement = tuple[str, tuple[object, ...]]
SECRETS = {Purpose.CREDENTIAL: "credentials", Purpose.SESSION: "sessions"}


@dataclass(frozen=True)
class Victim:
    """A connection as created: its rows by table. *elsewhere*: an origin of the attacker's.

    *spare*: the key of a profile that does not exist. *peer*: the rows of another connection to the
    same platform; *foreign*: of one to *other_platform*.
    """

    tenant_id: str
    profile_key: str
    rows: dict[str, dict[str, Any]]
    peer: dict[str, dict[str, Any]]
    foreign: dict[str, dict[str, Any]]
    other_tenant: str
    elsewhere: str
    keyring: Keyring

    @classmethod
    def read(
        cls,
        service: Running,
        profile_key: str,
        peer: str,
        foreign: str,
        other_tenant: str,
        elsewhere: str,
    ) -> Self:
        def rows(key: str) -> dict[str, dict[str, Any]]:
            return {
                table: service.rows(f"SELECT * FROM {table} WHERE profile_key = ?", key)[0]
                for table in ("connections", *SECRETS.values())
            }

        return cls(
            service.tenant_id,
            profile_key,
            rows(profile_key),
            rows(peer),
            rows(foreign),
            other_tenant,
            elsewhere,
            Keyring(service.settings.keyring_file),
        )

    @property
    def place(self) -> tuple[str, str, str]:
        return self.tenant_id, self.profile_key, self.platform

    @property
    def platform(self) -> str:
        return str(self.rows["connections"]["platform"])

    @property
    def other_platform(self) -> str:
        return str(self.foreign["connections"]["platform"])

    @property
    def spare(self) -> str:
        return f"{self.profile_key}0"

    def put(self, table: str, **values: object) -> Statement:
        columns = ", ".join(f"{name} = ?" for name in values)
        where = "tenant_id = ? AND profile_key = ? AND platform = ?"
        return f"UPDATE {table} SET {columns} WHERE {where}", (*values.values(), *self.place)
