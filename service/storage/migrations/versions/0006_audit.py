"""One audit trail, of writes, leases, refusals and commands, in the place of that of leases."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "audit",
        # never used again, also after the newest rows are deleted: an export continues after one
        sa.Column("number", number, primary_key=True, autoincrement=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("tenant_id", "method", "outcome", "key_id", "operator", "peer")
        ),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("profile_key", "platform", "account_id", "lent")
        ),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("left_out", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_by_age", "audit", ["at"])
    op.create_index("audit_of_tenant", "audit", ["tenant_id", "at"])
    # the end of the year 9999: a credential, which does not expire
    op.execute(
        "INSERT INTO audit (at, tenant_id, method, outcome, key_id, operator, peer, profile_key,"
        " platform, account_id, lent, expires_at, request_id, left_out)"
        " SELECT at, tenant_id, 'LeaseSession', 'OK', key_id, '', '', profile_key, platform,"
        " account_id, CASE WHEN expires_at >= 253402300799000000 THEN 'CREDENTIAL' ELSE 'SESSION'"
        " END, CASE WHEN expires_at >= 253402300799000000 THEN 0 ELSE expires_at END, '', 0"
        " FROM leases ORDER BY at"
    )
    op.drop_table("leases")
