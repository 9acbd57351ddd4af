"""Rows of the audit trail, for tests."""

from service.domain.audit import OK, AuditRow
from service.domain.model import Lent


def lease_row(
    at: int, tenant_id: str, key_id: str, profile: str, platform: str, account: str, expires_at: int
) -> AuditRow:
    """The row of a leased session."""
    row = AuditRow(at, tenant_id, "LeaseSession", OK, key_id)
    row = row._replace(profile_key=profile, platform=platform, account_id=account)
    return row._replace(lent=Lent.SESSION.value, expires_at=expires_at)


def unnumbered(rows: list[AuditRow]) -> list[AuditRow]:
    return [row._replace(number=0) for row in rows]
