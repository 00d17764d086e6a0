"""How many letters of each sender may leave now: what a claim takes from, and what it writes down afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from followup.core.sender import MANY, Sender, allowance, begun
from followup.store import messages, senders
from followup.store.messages import StoredMessage


@dataclass(frozen=True, slots=True)
class Standing:
    """How every sender stands that something was ever noted of, at one moment of the database's clock."""

    known: Mapping[str, Sender]
    now: datetime
    per_minute: int | None

    @classmethod
    def read(cls, conn: Connection, per_minute: int | None) -> "Standing":
        return cls(*senders.all_of(conn), per_minute)

    @property
    def resting(self) -> list[str]:
        """Return the senders that may send no letter now."""
        return [key for key, one in self.known.items() if not allowance(one, self.now, self.per_minute)]


class Room:
    """
    The room that each sender has left.

    Where a rate is set, or something is wrong with a sender, its row is held until the transaction ends: what
    one worker takes the others do not see any more. Otherwise nothing is held and nothing written.
    """

    def __init__(self, signers: Mapping[int, str], held: Mapping[str, Sender], now: datetime, per_minute: int | None):
        self._signers, self._held, self._now, self._per_minute = signers, held, now, per_minute
        self._left = {key: allowance(sender, now, per_minute) for key, sender in held.items()}
        self._taken: dict[str, list[int]] = {}

    @classmethod
    def of(cls, conn: Connection, signers: Mapping[int, str], standing: Standing) -> "Room":
        """Return the room of the senders of messages (by id), and hold the rows of those that need it."""
        known, per_minute = standing.known, standing.per_minute
        keys = set(signers.values())
        if per_minute is None:
            keys = {key for key in keys if key in known and not known[key].is_plain}
        if not keys:
            return cls(signers, {}, standing.now, per_minute)
        held, now = senders.lock(conn, keys)
        return cls(signers, held, now, per_minute)

    def take(self, message_id: int) -> bool:
        """Take room for a message; return False when its sender has none."""
        key = self._signers[message_id]
        left = self._left.get(key, MANY)
        if left < 1:
            return False
        self._left[key] = left - 1
        self._taken.setdefault(key, []).append(message_id)
        return True

    def settle(self, conn: Connection, wanted: Sequence[StoredMessage]) -> None:
        """Write down what was taken, and in whose name letters leave; give back those there was no room for."""
        for key in sorted(self._held):
            sender = begun(self._held[key], self._taken.get(key, ()), self._now, self._per_minute)
            if sender != self._held[key]:
                senders.save(conn, sender)
        for message in wanted:
            if self._signers[message.id] != message.sender:
                messages.set_sender(conn, message.id, self._signers[message.id])
        taken = {message_id for ids in self._taken.values() for message_id in ids}
        messages.unlease(conn, [message.id for message in wanted if message.id not in taken])
