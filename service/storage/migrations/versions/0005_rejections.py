"""Logins of a connection that its server rejected in a row: some platforms need two for proof."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "connections", sa.Column("rejections", sa.BigInteger, nullable=False, server_default="0")
    )
