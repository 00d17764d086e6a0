"""Two groups that chance has made, and what can be concluded from how many of each did something."""

from dataclasses import dataclass
from enum import StrEnum

from followup.core.statistics import Interval, newcombe_difference, wilson

FEWEST = 50  # on each side: below that, one person more or less moves a share by more than two points


class Conclusion(StrEnum):
    NOTHING = "nothing to compare"  # one side is empty
    TOO_FEW = "too few to tell"
    CANNOT_TELL = "cannot tell yet"  # it may be more, less, or no difference at all
    MORE = "more"
    LESS = "less"


@dataclass(frozen=True, slots=True)
class Share:
    """How many *of* so many did it."""

    did: int
    of: int

    @property
    def value(self) -> float | None:
        return self.did / self.of if self.of else None

    @property
    def interval(self) -> Interval:
        return wilson(self.did, self.of)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One group against the other; a difference above 0 means that more of ``ours`` did it."""

    ours: Share
    others: Share

    @property
    def difference(self) -> float | None:
        ours, others = self.ours.value, self.others.value
        return None if ours is None or others is None else ours - others

    @property
    def interval(self) -> Interval:
        return newcombe_difference(self.ours.did, self.ours.of, self.others.did, self.others.of)

    @property
    def conclusion(self) -> Conclusion:
        """Return what can be said; of small groups nothing, however far apart they are."""
        if not self.ours.of or not self.others.of:
            return Conclusion.NOTHING
        if min(self.ours.of, self.others.of) < FEWEST:
            return Conclusion.TOO_FEW
        if 0 in self.interval:
            return Conclusion.CANNOT_TELL
        return Conclusion.MORE if self.interval.low > 0 else Conclusion.LESS
