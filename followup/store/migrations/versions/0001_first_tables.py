"""The first tables: customers, orders and their timeline; workflows, letters and what came back."""

import sqlalchemy as sa
from alembic import op

from followup.store.types import Id, Json, UTCDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", Id, nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("data", Json, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_table(
        "bundles",
        sa.Column("id", Id, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("files", Json, nullable=False, comment="path -> text, the whole folder"),
        sa.Column(
            "applied_at", UTCDateTime(), nullable=False, comment="the newest is what runs; applied again, it moves up"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_bundles"),
        sa.UniqueConstraint("hash", name="uq_bundles_hash"),
    )
    op.create_table(
        "customers",
        sa.Column("id", Id, nullable=False),
        sa.Column("address", sa.Text(), nullable=True, comment="normalised; NULL after erasure"),
        sa.Column("email", sa.Text(), nullable=True, comment="as the shop wrote it"),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("first_name", sa.Text(), nullable=True),
        sa.Column("last_name", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True, comment="BCP 47"),
        sa.Column("country", sa.Text(), nullable=True, comment="ISO 3166-1 alpha-2"),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("city", sa.Text(), nullable=True),
        sa.Column("timezone", sa.Text(), nullable=True, comment="IANA, as the shop gave it"),
        sa.Column("consent_basis", sa.Text(), nullable=False),
        sa.Column("consent_since", UTCDateTime(), nullable=True),
        sa.Column("tags", Json, nullable=False),
        sa.Column("remembered", Json, nullable=False),
        sa.Column("as_of", UTCDateTime(), nullable=False, comment="when the shop reported it; the newest report wins"),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.CheckConstraint(
            "consent_basis IN ('opt_in', 'existing_customer', 'none', 'unknown')",
            name="ck_customers_consent_basis_known",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_customers"),
        sa.UniqueConstraint("address", name="uq_customers_address"),
    )
    op.create_table(
        "inbound_mail",
        sa.Column("id", Id, nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False, comment="SHA-256 of the raw bytes"),
        sa.Column("received_at", UTCDateTime(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False, comment="zlib"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("leased_until", UTCDateTime(), nullable=True, comment="database time"),
        sa.CheckConstraint(
            "state IN ('received', 'processed', 'unmatched', 'ignored', 'failed')", name="ck_inbound_mail_state_known"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_inbound_mail"),
        sa.UniqueConstraint("content_hash", name="uq_inbound_mail_content_hash"),
    )
    op.create_index(
        "ix_inbound_mail_new",
        "inbound_mail",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state = 'received'"),
        sqlite_where=sa.text("state = 'received'"),
    )

    op.create_table(
        "suppressions",
        sa.Column("id", Id, nullable=False),
        sa.Column("address_hash", sa.Text(), nullable=False, comment="HMAC-SHA256 of the normalised address"),
        sa.Column("scope", sa.Text(), nullable=False, comment="'all', or a workflow"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_suppressions"),
        sa.UniqueConstraint("address_hash", "scope", name="uq_suppressions_address_hash_scope"),
    )
    op.create_table(
        "workflow_versions",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False, comment="the YAML, to which enrollments are pinned"),
        sa.PrimaryKeyConstraint("id", name="pk_workflow_versions"),
        sa.UniqueConstraint("name", "hash", name="uq_workflow_versions_name_hash"),
    )
    op.create_table(
        "conversations",
        sa.Column("id", Id, nullable=False),
        sa.Column("customer_id", Id, nullable=False),
        sa.Column("owner", sa.Text(), nullable=False, comment="key of the person in people.yaml"),
        sa.Column("opened_at", UTCDateTime(), nullable=False),
        sa.Column(
            "waiting_since", UTCDateTime(), nullable=True, comment="since when the customer waits for us; NULL: we wait"
        ),
        sa.Column("closed_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_conversations_customer_id"),
        sa.PrimaryKeyConstraint("id", name="pk_conversations"),
    )
    op.create_index(
        "uq_conversations_open",
        "conversations",
        ["customer_id"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
        sqlite_where=sa.text("closed_at IS NULL"),
    )

    op.create_table(
        "orders",
        sa.Column("id", Id, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("customer_id", Id, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("placed_at", UTCDateTime(), nullable=False),
        sa.Column("paid_at", UTCDateTime(), nullable=True),
        sa.Column("fulfilled_at", UTCDateTime(), nullable=True),
        sa.Column("promised_at", UTCDateTime(), nullable=True),
        sa.Column("delivered_at", UTCDateTime(), nullable=True),
        sa.Column("total_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("is_gift", sa.Boolean(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("items", Json, nullable=False),
        sa.Column("as_of", UTCDateTime(), nullable=False, comment="when the shop reported it; the newest report wins"),
        sa.CheckConstraint(
            "status IN ('placed', 'paid', 'fulfilled', 'delivered', 'cancelled', 'refunded')",
            name="ck_orders_status_known",
        ),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_orders_customer_id"),
        sa.PrimaryKeyConstraint("id", name="pk_orders"),
        sa.UniqueConstraint("source", "external_id", name="uq_orders_source_external_id"),
    )
    op.create_index("ix_orders_customer_id", "orders", ["customer_id"], unique=False)
    op.create_index("ix_orders_number", "orders", ["number"], unique=False)
    op.create_index("ix_orders_placed_at", "orders", ["placed_at"], unique=False)

    op.create_table(
        "events",
        sa.Column("id", Id, nullable=False),
        sa.Column("customer_id", Id, nullable=False),
        sa.Column("order_id", Id, nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("occurred_at", UTCDateTime(), nullable=False),
        sa.Column("recorded_at", UTCDateTime(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False, comment="makes the same report of the same thing one row"),
        sa.Column("data", Json, nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_events_customer_id"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_events_order_id"),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sa.UniqueConstraint("source", "external_id", name="uq_events_source_external_id"),
    )
    op.create_index("ix_events_customer_id_occurred_at", "events", ["customer_id", "occurred_at"], unique=False)
    op.create_index("ix_events_order_id", "events", ["order_id"], unique=False)

    op.create_table(
        "enrollments",
        sa.Column("id", Id, nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("version_id", Id, nullable=False),
        sa.Column("customer_id", Id, nullable=False),
        sa.Column("order_id", Id, nullable=True),
        sa.Column("entry_key", sa.Text(), nullable=False),
        sa.Column("trigger_event_id", Id, nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=True, comment="NULL once the run is over"),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("since", UTCDateTime(), nullable=False, comment="business time at which it came to the step"),
        sa.Column("entered_at", UTCDateTime(), nullable=False),
        sa.Column("wake_at", UTCDateTime(), nullable=True, comment="when to look again; NULL: when something happens"),
        sa.Column("leased_until", UTCDateTime(), nullable=True, comment="database time"),
        sa.Column("rev", sa.Integer(), server_default="0", nullable=False),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.CheckConstraint("(state = 'active') = (ended_at IS NULL)", name="ck_enrollments_ended"),
        sa.CheckConstraint(
            "phase IN ('before', 'waiting', 'sending', 'asked', 'done')", name="ck_enrollments_phase_known"
        ),
        sa.CheckConstraint("state = 'active' OR wake_at IS NULL", name="ck_enrollments_asleep_when_ended"),
        sa.CheckConstraint("state IN ('active', 'completed', 'exited')", name="ck_enrollments_state_known"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_enrollments_customer_id"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_enrollments_order_id"),
        sa.ForeignKeyConstraint(["trigger_event_id"], ["events.id"], name="fk_enrollments_trigger_event_id"),
        sa.ForeignKeyConstraint(["version_id"], ["workflow_versions.id"], name="fk_enrollments_version_id"),
        sa.PrimaryKeyConstraint("id", name="pk_enrollments"),
        sa.UniqueConstraint("workflow", "entry_key", name="uq_enrollments_workflow_entry_key"),
    )
    op.create_index("ix_enrollments_customer_id", "enrollments", ["customer_id"], unique=False)
    op.create_index(
        "ix_enrollments_due",
        "enrollments",
        ["wake_at", "id"],
        unique=False,
        postgresql_where=sa.text("wake_at IS NOT NULL"),
        sqlite_where=sa.text("wake_at IS NOT NULL"),
    )
    op.create_index("ix_enrollments_order_id", "enrollments", ["order_id"], unique=False)

    op.create_table(
        "messages",
        sa.Column("id", Id, nullable=False),
        sa.Column("enrollment_id", Id, nullable=False),
        sa.Column("customer_id", Id, nullable=False),
        sa.Column("order_id", Id, nullable=True),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False, comment="0 the ask or send, 1 its reminder"),
        sa.Column("letter", sa.Text(), nullable=False),
        sa.Column("letter_hash", sa.Text(), nullable=True),
        sa.Column("sender", sa.Text(), nullable=False, comment="key of the person in people.yaml"),
        sa.Column("purpose", sa.Text(), nullable=True, comment="of the letter as it was sent"),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", UTCDateTime(), nullable=True, comment="moves when a gate postpones; NULL while held"),
        sa.Column("postponed_since", UTCDateTime(), nullable=True, comment="when a gate first postponed it"),
        sa.Column("not_after", UTCDateTime(), nullable=True, comment="due_at plus max_late"),
        sa.Column("leased_until", UTCDateTime(), nullable=True, comment="database time"),
        sa.Column("token", sa.Text(), nullable=True, comment="names the attempt; in the reply address and every link"),
        sa.Column(
            "sending_at",
            UTCDateTime(),
            nullable=True,
            comment="business time at which token and payload were committed",
        ),
        sa.Column("payload", Json, nullable=True, comment="the mail as it goes to the transport"),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("question", sa.Text(), nullable=True, comment="as this customer read it"),
        sa.Column("choices", Json, nullable=True, comment="the answers it offered"),
        sa.Column("accepted_at", UTCDateTime(), nullable=True),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True, comment="what the provider reported since"),
        sa.Column(
            "reason",
            sa.Text(),
            nullable=True,
            comment="why it is held, blocked, rejected, skipped, expired, cancelled or unknown",
        ),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("(state = 'accepted') = (accepted_at IS NOT NULL)", name="ck_messages_accepted_has_time"),
        sa.CheckConstraint(
            "outcome IN ('accepted', 'deferred', 'delivered', 'dropped', 'bounced', 'complained')",
            name="ck_messages_outcome_known",
        ),
        sa.CheckConstraint("purpose IN ('service', 'relationship', 'marketing')", name="ck_messages_purpose_known"),
        sa.CheckConstraint("state <> 'due' OR due_at IS NOT NULL", name="ck_messages_due_has_time"),
        sa.CheckConstraint("state <> 'held' OR due_at IS NULL", name="ck_messages_held_has_no_time"),
        sa.CheckConstraint(
            "state IN ('due', 'held', 'claimed', 'sending', 'accepted', 'unknown', 'blocked', 'rejected', 'skipped', 'expired', 'cancelled')",
            name="ck_messages_state_known",
        ),
        sa.CheckConstraint(
            "state NOT IN ('sending', 'accepted', 'unknown') OR (token IS NOT NULL AND sending_at IS NOT NULL)",
            name="ck_messages_sent_has_token",
        ),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_messages_customer_id"),
        sa.ForeignKeyConstraint(["enrollment_id"], ["enrollments.id"], name="fk_messages_enrollment_id"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_messages_order_id"),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.UniqueConstraint("enrollment_id", "step", "round", name="uq_messages_enrollment_id_step_round"),
        sa.UniqueConstraint("token", name="uq_messages_token"),
    )
    op.create_index(
        "ix_messages_blocked",
        "messages",
        ["not_after"],
        unique=False,
        postgresql_where=sa.text("state = 'blocked'"),
        sqlite_where=sa.text("state = 'blocked'"),
    )
    op.create_index("ix_messages_customer_id_accepted_at", "messages", ["customer_id", "accepted_at"], unique=False)
    op.create_index(
        "ix_messages_due",
        "messages",
        ["due_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'due'"),
        sqlite_where=sa.text("state = 'due'"),
    )
    op.create_index(
        "ix_messages_leased",
        "messages",
        ["state", "leased_until"],
        unique=False,
        postgresql_where=sa.text("state = 'claimed' OR state = 'sending'"),
        sqlite_where=sa.text("state = 'claimed' OR state = 'sending'"),
    )

    op.create_table(
        "decisions",
        sa.Column("id", Id, nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("customer_id", Id, nullable=False),
        sa.Column("order_id", Id, nullable=True),
        sa.Column("enrollment_id", Id, nullable=True),
        sa.Column("message_id", Id, nullable=True),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("round", sa.Integer(), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=False, comment="not_entered, skipped, held, postponed, expired, …"),
        sa.Column("gate", sa.Text(), nullable=True, comment="which gate objected, if it was one"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("values", Json, nullable=False),
        sa.Column("until", UTCDateTime(), nullable=True, comment="postponed until"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_decisions_customer_id"),
        sa.ForeignKeyConstraint(["enrollment_id"], ["enrollments.id"], name="fk_decisions_enrollment_id"),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_decisions_message_id"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_decisions_order_id"),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
    )
    op.create_index("ix_decisions_customer_id", "decisions", ["customer_id"], unique=False)
    op.create_index("ix_decisions_enrollment_id", "decisions", ["enrollment_id"], unique=False)
    op.create_index("ix_decisions_order_id", "decisions", ["order_id"], unique=False)

    op.create_table(
        "replies",
        sa.Column("id", Id, nullable=False),
        sa.Column("customer_id", Id, nullable=False),
        sa.Column("inbound_id", Id, nullable=False),
        sa.Column("message_id", Id, nullable=True),
        sa.Column("enrollment_id", Id, nullable=True),
        sa.Column(
            "rfc_message_id", sa.Text(), nullable=False, comment="Message-ID, or the content hash where there is none"
        ),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("from_address", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False, comment="the customer's own words, without signature"),
        sa.Column("text_signed", sa.Text(), nullable=False, comment="the same with the signature"),
        sa.Column("sentiment", sa.Text(), nullable=True),
        sa.Column("intent", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("returns_on", sa.Text(), nullable=True, comment="ISO date an out-of-office note gives"),
        sa.Column("received_at", UTCDateTime(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('human', 'auto_reply', 'bounce', 'challenge', 'complaint', 'list', 'unsubscribe')",
            name="ck_replies_kind_known",
        ),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_replies_customer_id"),
        sa.ForeignKeyConstraint(["enrollment_id"], ["enrollments.id"], name="fk_replies_enrollment_id"),
        sa.ForeignKeyConstraint(["inbound_id"], ["inbound_mail.id"], name="fk_replies_inbound_id"),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_replies_message_id"),
        sa.PrimaryKeyConstraint("id", name="pk_replies"),
        sa.UniqueConstraint("customer_id", "rfc_message_id", name="uq_replies_customer_id_rfc_message_id"),
        sa.UniqueConstraint("inbound_id", name="uq_replies_inbound_id"),
    )
    op.create_index("ix_replies_enrollment_id", "replies", ["enrollment_id"], unique=False)
    op.create_index("ix_replies_received_at", "replies", ["received_at"], unique=False)

    op.create_table(
        "answers",
        sa.Column("id", Id, nullable=False),
        sa.Column("customer_id", Id, nullable=False),
        sa.Column("message_id", Id, nullable=False),
        sa.Column("enrollment_id", Id, nullable=False),
        sa.Column("reply_id", Id, nullable=True),
        sa.Column("letter", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("provisional", sa.Boolean(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.CheckConstraint("source IN ('click', 'reply', 'note')", name="ck_answers_source_known"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_answers_customer_id"),
        sa.ForeignKeyConstraint(["enrollment_id"], ["enrollments.id"], name="fk_answers_enrollment_id"),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_answers_message_id"),
        sa.ForeignKeyConstraint(["reply_id"], ["replies.id"], name="fk_answers_reply_id"),
        sa.PrimaryKeyConstraint("id", name="pk_answers"),
    )
    op.create_index("ix_answers_customer_id_letter", "answers", ["customer_id", "letter"], unique=False)
    op.create_index("ix_answers_enrollment_id", "answers", ["enrollment_id"], unique=False)
