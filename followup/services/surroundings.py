"""What the gates look at besides the facts of a run: who waits for us, what left lately, what stands still."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from followup.authoring.bundle import Bundle
from followup.core.customer import normalize_address
from followup.core.facts import Facts
from followup.core.gates import Candidate
from followup.core.message import HaltScope, Purpose
from followup.core.people import covering
from followup.services.facts import Known
from followup.store import conversations, gaps, halts, messages, suppressions
from followup.store.messages import StoredMessage

LOOK_BACK = timedelta(days=400)  # the longest span a cap may have


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanting:
    """A letter that wants to leave, written down already or not."""

    step: str
    round: int
    letter: str
    due_at: datetime
    not_after: datetime
    postponed_since: datetime | None = None
    unread: bool = False

    @classmethod
    def stored(cls, message: StoredMessage, *, unread: bool) -> "Wanting":
        assert message.due_at is not None
        assert message.not_after is not None
        return cls(
            step=message.step,
            round=message.round,
            letter=message.letter,
            due_at=message.due_at,
            not_after=message.not_after,
            postponed_since=message.postponed_since,
            unread=unread,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """All that was read at one moment for some customers and the workflows they are in; ``recent`` is by customer."""

    bundle: Bundle
    now: datetime
    halted: str | None
    waiting: Mapping[int, datetime]
    recent: Mapping[int, Sequence[StoredMessage]]
    hashes: Mapping[int, str]
    suppressed: Mapping[tuple[str, str], str]
    in_doubt_until: datetime | None
    listening: Mapping[str, str]  # by owner: who answers what they are asked, today
    limits: Mapping[str, int | None]
    waiting_for: Mapping[str, int]

    @classmethod
    def read(
        cls,
        conn: Connection,
        known: Collection[Known],
        workflows: Collection[str],
        *,
        bundle: Bundle,
        suppression_key: str,
        now: datetime,
        hold: bool = False,
    ) -> "Surroundings":
        """
        Read what concerns the customers and the owners of *known*.

        Args:
            workflows: of the letters that want to leave.
            hold: keep anybody from halting everything until the transaction ends.
        """
        people = {one.stored.customer_id for one in known}
        addresses = {one.facts.customer.id: one.facts.customer.email for one in known}
        hashes = {
            customer: suppressions.address_hash(normalize_address(email), suppression_key)
            for customer, email in addresses.items()
        }
        halt = halts.current(conn, hold=hold).get(HaltScope.ALL)
        owners = {one.workflow.owner for one in known}
        listening = {owner: covering(bundle.people, owner, now, otherwise=bundle.shop.zone) for owner in owners}
        limits = {person: bundle.people[person].backlog for person in set(listening.values()) & bundle.people.keys()}
        return cls(
            bundle=bundle,
            now=now,
            halted=halt.reason if halt else None,
            waiting=conversations.waiting_since(conn, people),
            recent=messages.recent(conn, people, since=now - LOOK_BACK),
            hashes=hashes,
            suppressed=suppressions.reasons(conn, hashes.values(), workflows),
            in_doubt_until=gaps.doubtful_until(conn),
            listening=listening,
            limits=limits,
            waiting_for=conversations.waiting_for(conn, [one for one, limit in limits.items() if limit is not None]),
        )

    def candidate(self, one: Known, letter: Wanting) -> Candidate:
        """Return *letter* of the run *one* as the gates look at it; how many left today is not known here."""
        hash_, listener = self.hashes[one.facts.customer.id], self.listening[one.workflow.owner]
        return Candidate(
            workflow=one.workflow,
            enrollment=one.stored.enrollment,
            facts=one.facts,
            step=letter.step,
            round=letter.round,
            postponed_since=letter.postponed_since,
            due_at=letter.due_at,
            not_after=letter.not_after,
            purpose=self._purpose(letter.letter, one.facts),
            halted=self.halted,
            suppressed=self.suppressed.get((hash_, suppressions.ALL))
            or self.suppressed.get((hash_, one.workflow.name)),
            waiting_since=self.waiting.get(one.stored.customer_id),
            recent=self._left_lately(one, letter.step),
            in_doubt_until=self.in_doubt_until,
            backlog=self.limits.get(listener),
            waiting_for_owner=self.waiting_for.get(listener, 0),
            unread=letter.unread,
        )

    def _purpose(self, letter: str, about: Facts) -> Purpose:
        """Return the purpose of the letter as it stands; a letter that is gone is found out when it is written."""
        if letter not in self.bundle.defaults:
            return Purpose.RELATIONSHIP
        return self.bundle.letter(letter, about.customer.language).purpose

    def _left_lately(self, one: Known, step: str) -> tuple[datetime, ...]:
        """Return when other letters left, oldest first; an ask and its reminder do not count against each other."""
        own = (one.stored.id, step)
        recent = self.recent.get(one.stored.customer_id, ())
        others = (other for other in recent if (other.enrollment_id, other.step) != own)
        return tuple(sorted(other.accepted_at or other.sending_at or self.now for other in others))
