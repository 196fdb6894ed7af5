"""PostgreSQL: merchant tiles in slots, so that writers at the same time share no row."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(
        "ALTER TABLE merchanttiles ADD COLUMN IF NOT EXISTS slot smallint NOT NULL DEFAULT 0"
    )
    op.execute("ALTER TABLE merchanttiles DROP CONSTRAINT IF EXISTS merchanttiles_pkey")
    op.execute(
        "ALTER TABLE merchanttiles "
        "ADD PRIMARY KEY (merchant_id, event_hour, known_hour, kind, slot)"
    )
