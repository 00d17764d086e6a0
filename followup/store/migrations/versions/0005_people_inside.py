"""
What an applied bundle makes of the people inside: runs move to newer versions, or finish theirs.

And indices to look at one customer alone, and at what happened lately.
"""

import sqlalchemy as sa
from alembic import op

from followup.store.types import Id, Json, UTCDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "bundles",
        sa.Column(
            "in_flight", Json, comment="what becomes of those at steps it does not have: step -> finish, skip or stop"
        ),
    )
    op.add_column(
        "enrollments",
        sa.Column("moved_at", UTCDateTime(), comment="when it was moved to its version; NULL: it entered that one"),
    )
    op.add_column(
        "enrollments",
        sa.Column("entered_version_id", Id, comment="the version it came into; NULL: the one it is in"),
    )
    op.add_column(
        "enrollments",
        sa.Column(
            "finishes",
            sa.Boolean(),
            nullable=False,
            server_default=sa.text("false"),
            comment="its version, whatever is newer",
        ),
    )
    op.create_index("ix_enrollments_version_id_id", "enrollments", ["version_id", "id"], unique=False)
    op.create_index("ix_events_kind_occurred_at_id", "events", ["kind", "occurred_at", "id"], unique=False)
    op.create_index("ix_conversations_customer_id", "conversations", ["customer_id"], unique=False)
    op.create_index("ix_message_aliases_message_id", "message_aliases", ["message_id"], unique=False)
    op.create_index("ix_notices_customer_id", "notices", ["customer_id"], unique=False)
    op.create_index("ix_timers_subject_id_kind", "timers", ["subject_id", "kind"], unique=False)
