"""The tables. The database repeats the rules of core: a CHECK on every state, a UNIQUE on every promise."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from followup.core.customer import ConsentBasis
from followup.core.enrollment import EnrollmentState, Phase
from followup.core.message import MessageState, Outcome, Purpose
from followup.core.order import OrderStatus
from followup.core.provider import EventState
from followup.core.replies import InboundState, MailKind, Source
from followup.core.timer import TimerKind
from followup.store.types import Id, Json, UTCDateTime, one_of

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, postgresql_where=text(where), sqlite_where=text(where))


customers = Table(
    "customers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("address", Text, comment="normalised; NULL after erasure"),
    Column("email", Text, comment="as the shop wrote it"),
    Column("external_id", Text),
    Column("first_name", Text),
    Column("last_name", Text),
    Column("language", Text, comment="BCP 47"),
    Column("country", Text, comment="ISO 3166-1 alpha-2"),
    Column("region", Text),
    Column("city", Text),
    Column("timezone", Text, comment="IANA, as the shop gave it"),
    Column("consent_basis", Text, nullable=False),
    Column("consent_since", UTCDateTime),
    Column("tags", Json, nullable=False),
    Column("remembered", Json, nullable=False),
    Column("as_of", UTCDateTime, nullable=False, comment="when the shop reported it; the newest report wins"),
    Column("created_at", UTCDateTime, nullable=False),
    one_of("consent_basis", ConsentBasis),
    UniqueConstraint("address"),
)

orders = Table(
    "orders",
    metadata,
    Column("id", Id, primary_key=True),
    Column("source", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("status", Text, nullable=False),
    Column("placed_at", UTCDateTime, nullable=False),
    Column("paid_at", UTCDateTime),
    Column("fulfilled_at", UTCDateTime),
    Column("promised_at", UTCDateTime),
    Column("delivered_at", UTCDateTime),
    Column("total_cents", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("is_gift", Boolean, nullable=False),
    Column("note", Text),
    Column("items", Json, nullable=False),
    Column("as_of", UTCDateTime, nullable=False, comment="when the shop reported it; the newest report wins"),
    one_of("status", OrderStatus),
    UniqueConstraint("source", "external_id"),
    Index(None, "customer_id"),
    Index(None, "number"),
    Index(None, "placed_at"),
)

events = Table(
    "events",
    metadata,
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("order_id", Id, ForeignKey("orders.id")),
    Column("kind", Text, nullable=False),
    Column("occurred_at", UTCDateTime, nullable=False),
    Column("recorded_at", UTCDateTime, nullable=False),
    Column("source", Text, nullable=False),
    Column("external_id", Text, nullable=False, comment="makes the same report of the same thing one row"),
    Column("data", Json, nullable=False),
    UniqueConstraint("source", "external_id"),
    Index(None, "customer_id", "occurred_at"),
    Index(None, "kind", "occurred_at", "id"),
    Index(None, "order_id"),
)

bundles = Table(
    "bundles",
    metadata,
    Column("id", Id, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("files", Json, nullable=False, comment="path -> text, the whole folder"),
    Column("applied_at", UTCDateTime, nullable=False, comment="the newest is what runs; applied again, it moves up"),
    Column("in_flight", Json, comment="what becomes of those at steps it does not have: step -> finish, skip or stop"),
    UniqueConstraint("hash"),
)

workflow_versions = Table(
    "workflow_versions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("source", Text, nullable=False, comment="the YAML, to which enrollments are pinned"),
    UniqueConstraint("name", "hash"),
)

enrollments = Table(
    "enrollments",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workflow", Text, nullable=False),
    Column("version_id", Id, ForeignKey("workflow_versions.id"), nullable=False),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("order_id", Id, ForeignKey("orders.id")),
    Column("entry_key", Text, nullable=False),
    Column("trigger_event_id", Id, ForeignKey("events.id")),
    Column("state", Text, nullable=False),
    Column("step", Text, comment="NULL once the run is over"),
    Column("phase", Text, nullable=False),
    Column("since", UTCDateTime, nullable=False, comment="business time at which it came to the step"),
    Column("entered_at", UTCDateTime, nullable=False),
    Column("wake_at", UTCDateTime, comment="when to look again; NULL: when something happens"),
    Column("leased_until", UTCDateTime, comment="database time"),
    Column("rev", Integer, nullable=False, server_default="0"),
    Column("ended_at", UTCDateTime),
    Column("outcome", Text),
    Column("waited_until", UTCDateTime, comment="when its last wait was over; NULL: none was yet"),
    Column("heard_event_id", Id, comment="the event that last ended a wait for one"),
    Column("timed_out", Boolean, nullable=False, server_default=text("false"), comment="of the last wait for an event"),
    Column("moved_at", UTCDateTime, comment="when it was moved to its version; NULL: it entered that one"),
    Column("entered_version_id", Id, comment="the version it came into; NULL: the one it is in"),
    Column("finishes", Boolean, nullable=False, server_default=text("false"), comment="its version, whatever is newer"),
    one_of("state", EnrollmentState),
    one_of("phase", Phase),
    CheckConstraint("state = 'held_out' OR (state = 'active') = (ended_at IS NULL)", name="ended"),
    CheckConstraint("ended_at IS NULL OR wake_at IS NULL", name="asleep_when_ended"),
    UniqueConstraint("workflow", "entry_key"),
    Index(None, "customer_id"),
    Index(None, "order_id"),
    Index(None, "workflow", "entered_at"),
    _partial("ix_enrollments_due", "wake_at", "id", where="wake_at IS NOT NULL"),
    Index(None, "version_id", "id"),
)

timers = Table(
    "timers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("workflow", Text, nullable=False, comment="whose patience it is; empty: it concerns every workflow"),
    Column("subject_id", Id, nullable=False, comment="of the order, or the customer"),
    Column("due_at", UTCDateTime, nullable=False, comment="when to look whether it has come true"),
    Column("leased_until", UTCDateTime, comment="database time"),
    one_of("kind", TimerKind),
    UniqueConstraint("kind", "workflow", "subject_id"),
    Index(None, "subject_id", "kind"),
    Index(None, "due_at", "id"),
)

workflow_switches = Table(
    "workflow_switches",
    metadata,
    Column("workflow", Text, primary_key=True),
    Column("status", Text, nullable=False, comment="stands above the status in its file"),
    Column("reason", Text, nullable=False),
    Column("since", UTCDateTime, nullable=False),
    CheckConstraint("status IN ('paused', 'archived')", name="status_known"),
)

notices = Table(
    "notices",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", Text, nullable=False, comment="makes the same thing one notice"),
    Column("person", Text, nullable=False, comment="key of the person in people.yaml"),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    Column("told_at", UTCDateTime, comment="NULL: nobody was told yet"),
    Column("failures", Integer, nullable=False, server_default="0", comment="tries that did not get through"),
    Column("leased_until", UTCDateTime, comment="database time; also how long a failed try is waited out"),
    UniqueConstraint("key"),
    Index(None, "customer_id"),
    _partial("ix_notices_new", "id", where="told_at IS NULL"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Id, primary_key=True),
    Column("enrollment_id", Id, ForeignKey("enrollments.id"), nullable=False),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("order_id", Id, ForeignKey("orders.id")),
    Column("workflow", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("round", Integer, nullable=False, comment="0 the ask or send, 1 its reminder"),
    Column("letter", Text, nullable=False),
    Column("letter_hash", Text),
    Column("sender", Text, nullable=False, comment="key of the person in people.yaml"),
    Column("purpose", Text, comment="of the letter as it was sent"),
    Column("priority", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("due_at", UTCDateTime, comment="moves when a gate postpones; NULL while held"),
    Column("postponed_since", UTCDateTime, comment="when a gate first postponed it"),
    Column("not_after", UTCDateTime, comment="due_at plus max_late"),
    Column("leased_until", UTCDateTime, comment="database time"),
    Column("token", Text, comment="names the attempt; in the reply address and every link"),
    Column("sending_at", UTCDateTime, comment="business time at which token and payload were committed"),
    Column("payload", Json, comment="the mail as it goes to the transport"),
    Column("transport", Text, comment="the way out it was given to: no other can say what became of it"),
    Column("subject", Text),
    Column("question", Text, comment="as this customer read it"),
    Column("choices", Json, comment="the answers it offered"),
    Column("accepted_at", UTCDateTime),
    Column("provider_id", Text),
    Column("outcome", Text, comment="what the provider reported since"),
    Column("reason", Text, comment="why it is held, blocked, rejected, skipped, expired, cancelled or unknown"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0", comment="tries in a row that did not get through"),
    Column("approved_at", UTCDateTime, comment="when a person let it go, one of a workflow's first letters"),
    one_of("state", MessageState),
    one_of("outcome", Outcome),
    one_of("purpose", Purpose),
    CheckConstraint("state <> 'due' OR due_at IS NOT NULL", name="due_has_time"),
    CheckConstraint("state <> 'held' OR due_at IS NULL", name="held_has_no_time"),
    CheckConstraint(
        "state NOT IN ('sending', 'accepted', 'unknown') OR (token IS NOT NULL AND sending_at IS NOT NULL)",
        name="sent_has_token",
    ),
    CheckConstraint("(state = 'accepted') = (accepted_at IS NOT NULL)", name="accepted_has_time"),
    CheckConstraint(
        "state NOT IN ('due', 'held', 'claimed', 'blocked') OR (token IS NULL AND sending_at IS NULL)",
        name="unsent_has_no_token",
    ),
    CheckConstraint("state NOT IN ('claimed', 'sending') OR leased_until IS NOT NULL", name="in_hand_has_lease"),
    UniqueConstraint("enrollment_id", "step", "round"),
    UniqueConstraint("token"),
    Index(None, "customer_id", "accepted_at"),
    _partial("ix_messages_due", "due_at", "id", where="state = 'due'"),
    # OR, not IN: SQLite does not see that state = 'sending' implies the IN, and would read the whole table
    _partial("ix_messages_leased", "state", "leased_until", where="state = 'claimed' OR state = 'sending'"),
    _partial("ix_messages_blocked", "not_after", where="state = 'blocked'"),
    _partial("ix_messages_held", "workflow", where="state = 'held'"),
    _partial("ix_messages_unknown", "sending_at", where="state = 'unknown'"),
    Index(None, "workflow", "sending_at"),
)

past_tokens = Table(
    "past_tokens",
    metadata,
    Column("token", Text, primary_key=True, comment="of an attempt of unknown fate that was given up"),
    Column("message_id", Id, ForeignKey("messages.id"), nullable=False),
    Column("sending_at", UTCDateTime, nullable=False),
    Column("given_up_at", UTCDateTime, nullable=False),
    Index(None, "message_id"),
)

senders = Table(
    "senders",
    metadata,
    Column("key", Text, primary_key=True, comment="of the person in people.yaml"),
    Column("paused", Text, comment="why the provider refuses them; NULL: it does not"),
    Column("failures", Integer, nullable=False, server_default="0", comment="of unknown fate in a row"),
    Column("failing_since", UTCDateTime, comment="database time, as all moments here"),
    Column("failed_at", UTCDateTime),
    Column("trips", Integer, nullable=False, server_default="0", comment="how often in a row the breaker opened"),
    Column("closed_until", UTCDateTime, comment="no letter leaves before then"),
    Column("because", Text, comment="why not"),
    Column("probe", Id, comment="the message that tries whether letters get through again"),
    Column("next_at", UTCDateTime, comment="when the rate has room again"),
)

workflow_limits = Table(
    "workflow_limits",
    metadata,
    Column("workflow", Text, primary_key=True, comment="its row is held while its letters are counted"),
    Column(
        "first", Integer, nullable=False, server_default="0", comment="letters that a person reads before others go"
    ),
    Column("approved", Integer, nullable=False, server_default="0", comment="how many of them a person has let go"),
    CheckConstraint("first >= 0 AND approved >= 0", name="counts"),
)

gaps = Table(
    "gaps",
    metadata,
    Column("id", Id, primary_key=True),
    Column("since", UTCDateTime, nullable=False, comment="what happened from then on is lost"),
    Column("until", UTCDateTime, nullable=False, comment="what was due by then may have left"),
    Column("noted_at", UTCDateTime, nullable=False),
    CheckConstraint("since <= until", name="has_length"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", UTCDateTime, nullable=False),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("order_id", Id, ForeignKey("orders.id")),
    Column("enrollment_id", Id, ForeignKey("enrollments.id")),
    Column("message_id", Id, ForeignKey("messages.id")),
    Column("workflow", Text, nullable=False),
    Column("step", Text),
    Column("round", Integer),
    Column("verdict", Text, nullable=False, comment="not_entered, skipped, held, postponed, expired, …"),
    Column("gate", Text, comment="which gate objected, if it was one"),
    Column("reason", Text, nullable=False),
    Column("values", Json, nullable=False),
    Column("until", UTCDateTime, comment="postponed until"),
    Index(None, "enrollment_id"),
    Index(None, "customer_id"),
    Index(None, "order_id"),
    _partial("ix_decisions_not_entered", "workflow", "at", where="verdict = 'not_entered'"),
)

inbound_mail = Table(
    "inbound_mail",
    metadata,
    Column("id", Id, primary_key=True),
    Column("content_hash", Text, nullable=False, comment="SHA-256 of the raw bytes"),
    Column("received_at", UTCDateTime, nullable=False),
    Column("channel", Text, nullable=False),
    Column("content_type", Text, comment="of a provider's post; NULL: raw is the mail itself"),
    Column("raw", LargeBinary, nullable=False, comment="zlib"),
    Column("state", Text, nullable=False),
    Column("error", Text),
    Column("leased_until", UTCDateTime, comment="database time"),
    one_of("state", InboundState),
    UniqueConstraint("content_hash"),
    _partial("ix_inbound_mail_new", "id", where="state = 'received'"),
    _partial("ix_inbound_mail_failed", "received_at", where="state = 'failed'"),
)

replies = Table(
    "replies",
    metadata,
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("inbound_id", Id, ForeignKey("inbound_mail.id"), nullable=False),
    Column("message_id", Id, ForeignKey("messages.id")),
    Column("enrollment_id", Id, ForeignKey("enrollments.id")),
    Column("rfc_message_id", Text, nullable=False, comment="Message-ID, or the content hash where there is none"),
    Column("kind", Text, nullable=False),
    Column("from_address", Text, nullable=False),
    Column("subject", Text),
    Column("text", Text, nullable=False, comment="the customer's own words, without signature"),
    Column("text_signed", Text, nullable=False, comment="the same with the signature"),
    Column("sentiment", Text),
    Column("intent", Text),
    Column("language", Text),
    Column("returns_on", Text, comment="ISO date an out-of-office note gives"),
    Column("received_at", UTCDateTime, nullable=False),
    one_of("kind", MailKind),
    UniqueConstraint("customer_id", "rfc_message_id"),
    UniqueConstraint("inbound_id"),
    Index(None, "enrollment_id"),
    Index(None, "received_at"),
)

answers = Table(
    "answers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("message_id", Id, ForeignKey("messages.id"), nullable=False),
    Column("enrollment_id", Id, ForeignKey("enrollments.id"), nullable=False),
    Column("reply_id", Id, ForeignKey("replies.id")),
    Column("letter", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("comment", Text),
    Column("source", Text, nullable=False),
    Column("at", UTCDateTime, nullable=False),
    one_of("source", Source),
    Index(None, "enrollment_id"),
    Index(None, "customer_id", "letter"),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("owner", Text, nullable=False, comment="key of the person in people.yaml"),
    Column("opened_at", UTCDateTime, nullable=False),
    Column("waiting_since", UTCDateTime, comment="since when the customer waits for us; NULL: we wait"),
    Column("closed_at", UTCDateTime),
    Column("urgent", Boolean, nullable=False, server_default=text("false"), comment="a workflow said so"),
    Column("note", Text, comment="what a workflow told the owner"),
    Index(None, "customer_id"),
    _partial("uq_conversations_open", "customer_id", where="closed_at IS NULL", unique=True),
)

visits = Table(
    "visits",
    metadata,
    Column("id", Id, primary_key=True),
    Column("message_id", Id, ForeignKey("messages.id"), nullable=False),
    Column("enrollment_id", Id, ForeignKey("enrollments.id"), nullable=False),
    Column("choice", Text, comment="id of the answer whose link it was; NULL: the stop link"),
    Column("at", UTCDateTime, nullable=False),
    Index(None, "message_id"),
    Index(None, "enrollment_id"),
)

provider_events = Table(
    "provider_events",
    metadata,
    Column("id", Id, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("event_id", Text, nullable=False, comment="the provider's, or a hash of the event where it gives none"),
    Column("received_at", UTCDateTime, nullable=False),
    Column("token", Text, comment="of the attempt it is about"),
    Column("raw", Json, nullable=False, comment="the event as it came"),
    Column("state", Text, nullable=False),
    Column("error", Text),
    Column("leased_until", UTCDateTime, comment="database time"),
    one_of("state", EventState),
    UniqueConstraint("provider", "event_id"),
    Index(None, "received_at"),
    Index(None, "token"),
    _partial("ix_provider_events_new", "id", where="state = 'received'"),
)

message_aliases = Table(
    "message_aliases",
    metadata,
    Column("rfc_message_id", Text, primary_key=True, comment="with its angle brackets"),
    Column("message_id", Id, ForeignKey("messages.id"), nullable=False),
    Index(None, "message_id"),
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("address_hash", Text, nullable=False, comment="HMAC-SHA256 of the normalised address"),
    Column("scope", Text, nullable=False, comment="'all', or a workflow"),
    Column("reason", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("at", UTCDateTime, nullable=False),
    UniqueConstraint("address_hash", "scope"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", UTCDateTime, nullable=False),
    Column("action", Text, nullable=False),
    Column("data", Json, nullable=False),
)

halts = Table(
    "halts",
    metadata,
    Column("scope", Text, primary_key=True, comment="'all' by an operator; 'sender' when the provider refuses us"),
    Column("reason", Text, nullable=False),
    Column("since", UTCDateTime, nullable=False),
    # 'sender' is what the version before wrote; it may still run while this one starts, and nobody reads it here
    CheckConstraint("scope IN ('all', 'sender')", name="scope_known"),
)

signs_of_life = Table(
    "signs_of_life",
    metadata,
    Column("what", Text, primary_key=True, comment="sweep, events, inbound"),
    Column("seen_at", UTCDateTime, nullable=False, comment="database time"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("key", Text, primary_key=True),
    Column("text", Text, nullable=False),
    Column("raised_at", UTCDateTime, nullable=False, comment="database time"),
    Column("told_at", UTCDateTime, comment="database time; NULL: nobody could be told yet"),
)
