from datetime import UTC, datetime, timedelta

import pytest

from followup.core.events import EventKind
from followup.core.message import Outcome
from followup.core.provider import Report, occurred_at

SENT = datetime(2026, 3, 2, 10, 0, 0, 700_000, tzinfo=UTC)
HEARD = SENT + timedelta(days=1)


@pytest.mark.parametrize(
    ("at", "believed"),
    [
        (datetime(2026, 3, 2, 10, 0, 1, tzinfo=UTC), datetime(2026, 3, 2, 10, 0, 1, tzinfo=UTC)),
        (datetime(2026, 3, 2, 10, 0, 0, tzinfo=UTC), SENT),  # the provider counts in whole seconds
        (datetime(2026, 3, 2, 9, 59, 59, tzinfo=UTC), HEARD),
        (HEARD, HEARD),
        (HEARD + timedelta(seconds=1), HEARD),
        (None, HEARD),
    ],
)
def test_the_provider_is_believed_about_when_something_happened_if_it_can_be(
    at: datetime | None, believed: datetime
) -> None:
    assert occurred_at(Report(kind="bounce", at=at), sending_at=SENT, received_at=HEARD) == believed


def test_a_report_without_outcome_that_stops_nothing_says_nothing() -> None:
    assert Report(kind="open").says_nothing
    assert not Report(kind="delivered", outcome=Outcome.DELIVERED).says_nothing
    assert not Report(kind="unsubscribe", stops=EventKind.CUSTOMER_UNSUBSCRIBED).says_nothing
