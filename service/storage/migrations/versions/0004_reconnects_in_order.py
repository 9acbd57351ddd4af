"""Connections that are to be made again, in the order of their profiles' pages."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # a copy of the profile's, which never changes: written with the verdict that breaks it
    op.add_column("connections", sa.Column("profile_created_at", sa.BigInteger))
    op.execute(
        "UPDATE connections SET profile_created_at = (SELECT created_at FROM profiles p"
        " WHERE p.profile_key = connections.profile_key) WHERE reconnect_reason IS NOT NULL"
    )
    # in the place of one without an order, which nodes of the version before can do without
    op.drop_index("connections_to_make_again", "connections")
    op.create_index(
        "connections_to_reconnect",
        "connections",
        ["tenant_id", "profile_created_at", "profile_key"],
        sqlite_where=sa.text("reconnect_reason IS NOT NULL"),
        postgresql_where=sa.text("reconnect_reason IS NOT NULL"),
    )
