"""Labels that were replaced are kept: what was known at an earlier instant stays knowable."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "labelchanges",
        sa.Column(
            "changeid",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("transaction_id", sa.String(128), nullable=False),
        sa.Column("label", sa.SmallInteger, nullable=False),
        sa.Column("label_known_at", sa.BigInteger, nullable=False),
        sa.Column("label_source", sa.String(32)),
        sa.Column("new_label", sa.SmallInteger, nullable=False),
        sa.Column("replaced_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_labelchanges_replaced_at", "labelchanges", ["replaced_at"])
