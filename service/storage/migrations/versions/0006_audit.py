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
    if op.get_context().dialect.name == "postgresql":
        # for nodes of the version before that still run: they add leases to it, and prune it
        op.execute(
            "CREATE VIEW leases AS SELECT at, tenant_id, key_id, profile_key, platform, account_id,"
            " expires_at FROM audit WHERE method = 'LeaseSession' AND outcome = 'OK'"
        )
        op.execute(
            "CREATE RULE leases_added AS ON INSERT TO leases DO INSTEAD"
            " INSERT INTO audit (at, tenant_id, method, outcome, key_id, operator, peer,"
            " profile_key, platform, account_id, lent, expires_at, request_id, left_out)"
            " VALUES (NEW.at, NEW.tenant_id, 'LeaseSession', 'OK', NEW.key_id, '', '',"
            " NEW.profile_key, NEW.platform, NEW.account_id,"
            " CASE WHEN NEW.expires_at >= 253402300799000000 THEN 'CREDENTIAL' ELSE 'SESSION' END,"
            " CASE WHEN NEW.expires_at >= 253402300799000000 THEN 0 ELSE NEW.expires_at END, '', 0)"
        )
