"""On the wire: what providers report, which links were opened, what stands still, and signs of life."""

import sqlalchemy as sa
from alembic import op

from followup.store.types import Id, Json, UTCDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "provider_events",
        sa.Column("id", Id, nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column(
            "event_id", sa.Text(), nullable=False, comment="the provider's, or a hash of the event where it gives none"
        ),
        sa.Column("received_at", UTCDateTime(), nullable=False),
        sa.Column("token", sa.Text(), nullable=True, comment="of the attempt it is about"),
        sa.Column("raw", Json, nullable=False, comment="the event as it came"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("leased_until", UTCDateTime(), nullable=True, comment="database time"),
        sa.CheckConstraint(
            "state IN ('received', 'applied', 'unmatched', 'ignored', 'failed')", name="ck_provider_events_state_known"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_provider_events"),
        sa.UniqueConstraint("provider", "event_id", name="uq_provider_events_provider_event_id"),
    )
    op.create_index("ix_provider_events_received_at", "provider_events", ["received_at"], unique=False)
    op.create_index(
        "ix_provider_events_new",
        "provider_events",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state = 'received'"),
        sqlite_where=sa.text("state = 'received'"),
    )

    op.create_table(
        "message_aliases",
        sa.Column("rfc_message_id", sa.Text(), nullable=False, comment="with its angle brackets"),
        sa.Column("message_id", Id, nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_message_aliases_message_id"),
        sa.PrimaryKeyConstraint("rfc_message_id", name="pk_message_aliases"),
    )

    op.create_table(
        "visits",
        sa.Column("id", Id, nullable=False),
        sa.Column("message_id", Id, nullable=False),
        sa.Column("enrollment_id", Id, nullable=False),
        sa.Column(
            "choice", sa.Text(), nullable=True, comment="id of the answer whose link it was; NULL: the stop link"
        ),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["enrollment_id"], ["enrollments.id"], name="fk_visits_enrollment_id"),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_visits_message_id"),
        sa.PrimaryKeyConstraint("id", name="pk_visits"),
    )
    op.create_index("ix_visits_enrollment_id", "visits", ["enrollment_id"], unique=False)
    op.create_index("ix_visits_message_id", "visits", ["message_id"], unique=False)

    op.create_table(
        "halts",
        sa.Column(
            "scope", sa.Text(), nullable=False, comment="'all' by an operator; 'sender' when the provider refuses us"
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", UTCDateTime(), nullable=False),
        sa.CheckConstraint("scope IN ('all', 'sender')", name="ck_halts_scope_known"),
        sa.PrimaryKeyConstraint("scope", name="pk_halts"),
    )

    op.create_table(
        "signs_of_life",
        sa.Column("what", sa.Text(), nullable=False, comment="sweep, events, inbound"),
        sa.Column("seen_at", UTCDateTime(), nullable=False, comment="database time"),
        sa.PrimaryKeyConstraint("what", name="pk_signs_of_life"),
    )

    op.create_table(
        "alerts",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("raised_at", UTCDateTime(), nullable=False, comment="database time"),
        sa.Column("told_at", UTCDateTime(), nullable=True, comment="database time; NULL: nobody could be told yet"),
        sa.PrimaryKeyConstraint("key", name="pk_alerts"),
    )

    op.add_column(
        "inbound_mail",
        sa.Column(
            "content_type", sa.Text(), nullable=True, comment="of a provider's post; NULL: raw is the mail itself"
        ),
    )
    op.create_index(
        "ix_inbound_mail_failed",
        "inbound_mail",
        ["received_at"],
        unique=False,
        postgresql_where=sa.text("state = 'failed'"),
        sqlite_where=sa.text("state = 'failed'"),
    )
    op.add_column(
        "messages",
        sa.Column(
            "transport",
            sa.Text(),
            nullable=True,
            comment="the way out it was given to: no other can say what became of it",
        ),
    )
    op.drop_column("answers", "provisional")
