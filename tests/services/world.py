"""A small shop to test with: a real database, a real outbox, a clock that is moved by hand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from followup.clock import VirtualClock
from followup.core.customer import ConsentBasis, CustomerReport
from followup.core.message import Accepted, Answer
from followup.core.order import Item, OrderReport, OrderStatus, Purchase
from followup.mail.message import MailIdentity, OutgoingMail
from followup.mail.outbox import Outbox
from followup.mail.transport import Transport
from followup.services import deploy
from followup.services.deliver import Post
from followup.services.intake import TakenIn, take_in
from followup.services.library import Library
from followup.services.receive import Heard, receive, store_raw
from followup.services.sweep import drain
from followup.store import schema
from followup.store.engine import reading, writing

MONDAY = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)  # 10:00 in London
KEYS = ("a-key-of-the-tests",)

PEOPLE = """\
nell: {name: Nell Harrow, email: nell@forge.example, signature: Nell}
tomas: {name: Tomás Reyes, email: tomas@forge.example, signature: Tomás}
"""
SHOP = """\
name: Harrow Forge
postal_address: 4 Mill Lane, Ludlow
timezone: Europe/London
"""
ASK = """\
---
subject: Did your {{ item.name }} arrive?
purpose: service
question:
  ask: Did everything arrive in one piece?
  answers: {fine: "Yes, all good", broken: Something is broken}
---
Hi {{ customer.first_name | default("there") }},

{{ question }}

{{ answers }}

{{ signature }}
"""
OPEN = """\
---
subject: What do you cook in it?
question: {ask: What do you cook in it most?, open: true}
---
{{ question }}

{{ signature }}
"""
SEND = """\
---
subject: What I do when food sticks
purpose: service
---
Wash it hot, then oil it. Does that help?

{{ signature }}
"""
CHECK_IN = """\
workflow: check-in
title: Did it arrive?
status: live
owner: nell
sender: nell
trigger: {event: order.delivered}
steps:
  - wait: 2 days
  - ask: arrived
    timeout: 5 days
    remind_after: 3 days
  - branch:
      - when: answer == "broken"
        do:
          - stop: a person took over
      - when: no_reply
        do:
          - stop: silent
      - otherwise:
          - wait: 10 days
          - ask: cooking
            timeout: 7 days
"""


def about_cooking(workflow: str) -> str:
    """Return *workflow* with the open question in the place of "arrived", to which nobody can answer "broken"."""
    later = workflow.replace("          - ask: cooking", "          - id: later\n            ask: cooking")
    return later.replace("ask: arrived", "ask: cooking", 1).replace('answer == "broken"', "replied")


@dataclass
class Scripted:
    """A transport whose answers are given by the test; it keeps what it was asked to send."""

    answer: Answer = field(default_factory=lambda: Accepted("X1"))
    recovered: Answer = field(default_factory=lambda: Accepted("X1"))
    sent: list[OutgoingMail] = field(default_factory=list)

    name = "scripted"

    def send(self, mails, *, may_begin):
        for mail in mails:
            self.sent.append(mail)
            yield [(mail, self.answer)]

    def recover(self, mail):
        return self.recovered


class World:
    """A database, a bundle, a clock and a way out."""

    def __init__(self, engine: Engine, folder: Path, *, transport: Transport | None = None, **workflows: str) -> None:
        self.engine, self.folder = engine, folder
        self.clock = VirtualClock(MONDAY)
        self.library = Library()
        self.identity = MailIdentity(reply_domain="reply.forge.example", public_url="https://forge.example", keys=KEYS)
        self.post = Post(
            transport=transport or Outbox(folder / "outbox", self.clock),
            identity=self.identity,
            suppression_key="never-changes",
        )
        self.files: dict[str, str] = {}
        self.apply(**workflows)

    def apply(
        self, letters: Mapping[str, str] | None = None, in_flight: Mapping[str, str] | None = None, **workflows: str
    ) -> deploy.Applied:
        """Apply the folder with these workflows (``check_in`` is check-in.yaml; none: the usual one)."""
        texts = {name.replace("_", "-"): text for name, text in workflows.items()} or {"check-in": CHECK_IN}
        self.files = {
            "workflows/people.yaml": PEOPLE,
            "workflows/shop.yaml": SHOP,
            **{f"workflows/{name}.yaml": text for name, text in texts.items()},
            "templates/arrived.md": ASK,
            "templates/cooking.md": OPEN,
            "templates/advice.md": SEND,
            **(letters or {}),
        }
        return deploy.apply(self.engine, self.files, clock=self.clock, in_flight=in_flight)

    def take_in(self, *purchases: Purchase, enroll: bool = True) -> TakenIn:
        with writing(self.engine) as conn:
            return take_in(conn, purchases, now=self.clock.now(), library=self.library if enroll else None)

    def drain(self) -> int:
        return drain(self.engine, library=self.library, post=self.post, clock=self.clock)

    def go_to(self, moment: datetime) -> None:
        """Move the clock to *moment* and do what is due then."""
        self.clock.move_to(moment)
        self.drain()

    def later(self, **span: float) -> None:
        self.go_to(self.clock.now() + timedelta(**span))

    def hear(self, raw: bytes) -> Heard:
        """Store and read a mail."""
        inbound_id, _ = store_raw(self.engine, raw, channel="test", clock=self.clock)
        return receive(self.engine, inbound_id, library=self.library, post=self.post)

    def letters(self) -> list[Any]:
        """Return the letters in the outbox, oldest first, as a mail client reads them."""
        files = sorted((self.folder / "outbox").glob("*.eml"))
        return [message_from_bytes(file.read_bytes(), policy=default) for file in files]

    def rows(self, table: str) -> list[Any]:
        """Return the rows of a table by id."""
        of = schema.metadata.tables[table]
        with reading(self.engine) as conn:
            return list(conn.execute(select(of).order_by(of.c.id)))

    def states(self) -> list[str]:
        """Return the state of each message."""
        return [row.state for row in self.rows("messages")]

    def verdicts(self) -> list[tuple[str, str]]:
        """Return verdict and reason of each decision."""
        return [(row.verdict, row.reason) for row in self.rows("decisions")]


def a_purchase(
    number: str = "T-1",
    *,
    email: str = "ana@example.com",
    delivered_at: datetime | None = MONDAY,
    status: OrderStatus = OrderStatus.DELIVERED,
    placed_at: datetime | None = None,
    consent: ConsentBasis = ConsentBasis.OPT_IN,
    promised_at: datetime | None = None,
    total_cents: int = 12_900,
    **customer: Any,
) -> Purchase:
    """Return an order of one pan, placed five days before it was delivered."""
    known = {"first_name": "Ana", "language": "en", "country": "GB", "timezone": "Europe/London", **customer}
    return Purchase(
        CustomerReport(address=email.lower(), email=email, consent_basis=consent, **known),
        OrderReport(
            source="test",
            external_id=number,
            number=number,
            status=status,
            placed_at=placed_at or (delivered_at or MONDAY) - timedelta(days=5),
            promised_at=promised_at,
            delivered_at=delivered_at,
            total_cents=total_cents,
            currency="GBP",
            items=(Item(name="Pan 28 cm", category="pans", price_cents=12_900),),
        ),
    )


def a_reply(
    to: Any, text: str = "It came with a dent.", *, message_id: str = "<1@mail.example>", **headers: str
) -> bytes:
    """Return a customer's mail in answer to a letter from the outbox."""
    mail = EmailMessage()
    mail["From"] = "Ana <ana@example.com>"
    mail["To"] = to["Reply-To"]
    mail["Subject"] = f"Re: {to['Subject']}"
    mail["Message-ID"] = message_id
    mail["In-Reply-To"] = to["Message-ID"]
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(f"{text}\n\nOn Wed, Nell Harrow <nell@forge.example> wrote:\n> Did everything arrive?\n")
    return mail.as_bytes()
