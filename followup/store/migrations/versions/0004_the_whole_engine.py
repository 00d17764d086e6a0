"""The whole engine: waits for events, held-out runs, timers, switched workflows, notices to people."""

import sqlalchemy as sa
from alembic import op

from followup.store.types import Id, UTCDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_CHECKS = {  # name: as it was, as it is
    "ck_enrollments_state_known": (
        "state IN ('active', 'completed', 'exited')",
        "state IN ('active', 'completed', 'exited', 'held_out')",
    ),
    "ck_enrollments_ended": (
        "(state = 'active') = (ended_at IS NULL)",
        "state = 'held_out' OR (state = 'active') = (ended_at IS NULL)",
    ),
    "ck_enrollments_asleep_when_ended": (
        "state = 'active' OR wake_at IS NULL",
        "ended_at IS NULL OR wake_at IS NULL",
    ),
}


def upgrade() -> None:
    for column in (
        sa.Column("waited_until", UTCDateTime(), comment="when its last wait was over; NULL: none was yet"),
        sa.Column("heard_event_id", Id, comment="the event that last ended a wait for one"),
        sa.Column(
            "timed_out",
            sa.Boolean(),
            nullable=False,
            server_default=sa.text("false"),
            comment="of the last wait for an event",
        ),
    ):
        op.add_column("enrollments", column)
    op.create_index("ix_enrollments_workflow_entered_at", "enrollments", ["workflow", "entered_at"], unique=False)
    _change_checks()
    op.add_column(
        "conversations",
        sa.Column(
            "urgent", sa.Boolean(), nullable=False, server_default=sa.text("false"), comment="a workflow said so"
        ),
    )
    op.add_column("conversations", sa.Column("note", sa.Text(), comment="what a workflow told the owner"))
    op.create_table(
        "timers",
        sa.Column("id", Id, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "workflow", sa.Text(), nullable=False, comment="whose patience it is; empty: it concerns every workflow"
        ),
        sa.Column("subject_id", Id, nullable=False, comment="of the order, or the customer"),
        sa.Column("due_at", UTCDateTime(), nullable=False, comment="when to look whether it has come true"),
        sa.Column("leased_until", UTCDateTime(), comment="database time"),
        sa.CheckConstraint("kind IN ('promise', 'quiet')", name=op.f("ck_timers_kind_known")),
        sa.PrimaryKeyConstraint("id", name="pk_timers"),
        sa.UniqueConstraint("kind", "workflow", "subject_id", name="uq_timers_kind_workflow_subject_id"),
    )
    op.create_index("ix_timers_due_at_id", "timers", ["due_at", "id"], unique=False)
    _watch_what_is_promised()
    op.create_table(
        "workflow_switches",
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False, comment="stands above the status in its file"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", UTCDateTime(), nullable=False),
        sa.CheckConstraint("status IN ('paused', 'archived')", name=op.f("ck_workflow_switches_status_known")),
        sa.PrimaryKeyConstraint("workflow", name="pk_workflow_switches"),
    )
    op.create_table(
        "notices",
        sa.Column("id", Id, nullable=False),
        sa.Column("key", sa.Text(), nullable=False, comment="makes the same thing one notice"),
        sa.Column("person", sa.Text(), nullable=False, comment="key of the person in people.yaml"),
        sa.Column("customer_id", Id, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("told_at", UTCDateTime(), comment="NULL: nobody was told yet"),
        sa.Column(
            "failures", sa.Integer(), nullable=False, server_default="0", comment="tries that did not get through"
        ),
        sa.Column("leased_until", UTCDateTime(), comment="database time; also how long a failed try is waited out"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_notices_customer_id"),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
        sa.UniqueConstraint("key", name="uq_notices_key"),
    )
    where = sa.text("told_at IS NULL")
    op.create_index("ix_notices_new", "notices", ["id"], unique=False, postgresql_where=where, sqlite_where=where)
    where = sa.text("verdict = 'not_entered'")
    op.create_index(
        "ix_decisions_not_entered",
        "decisions",
        ["workflow", "at"],
        unique=False,
        postgresql_where=where,
        sqlite_where=where,
    )


def _watch_what_is_promised() -> None:
    """Set the timers of orders that are on their way, a day after they are promised for, as services.timers does."""
    late, lately = "promised_at + interval '1 day'", "now() - interval '30 days'"
    if op.get_bind().dialect.name == "sqlite":
        late, lately = "strftime('%Y-%m-%d %H:%M:%f', promised_at, '+1 day') || '000'", "datetime('now', '-30 days')"
    op.execute(
        f"INSERT INTO timers (kind, workflow, subject_id, due_at) SELECT 'promise', '', id, {late} FROM orders"  # noqa: S608
        f" WHERE promised_at > {lately} AND delivered_at IS NULL"
        " AND status NOT IN ('delivered', 'cancelled', 'refunded')"
    )


def _change_checks() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for name, (_, rule) in _CHECKS.items():
            op.execute(f"ALTER TABLE enrollments DROP CONSTRAINT ck_enrollments_{name}")  # 0001 named them twice
            op.execute(f"ALTER TABLE enrollments ADD CONSTRAINT {name} CHECK ({rule})")
        return
    # as in 0003: SQLite changes no CHECK of a table that is there but in its stored definition
    version = op.get_bind().exec_driver_sql("PRAGMA schema_version").scalar_one()
    op.execute("PRAGMA writable_schema=ON")
    for before, after in _CHECKS.values():
        changed = op.get_bind().exec_driver_sql(
            "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = 'enrollments' AND instr(sql, ?) > 0",
            (before, after, before),
        )
        assert changed.rowcount == 1, before
    op.execute(f"PRAGMA schema_version={version + 1}")
    op.execute("PRAGMA writable_schema=OFF")
