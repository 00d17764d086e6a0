"""What it takes to prove that a letter of unknown fate was not accepted."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.core.absence import REPORTS_LAST, Feed, doubts
from tests.core.make import START

OVER = START + REPORTS_LAST
CLEAR = Feed(reports=True, later=1, silent=0, unread=0, last_at=OVER)
MINUTE = timedelta(minutes=1)


def test_without_any_doubt_it_is_proven():
    assert doubts(START, OVER + MINUTE, CLEAR, now=OVER) == ()
    assert doubts(START, None, CLEAR, now=OVER) == ()


@pytest.mark.parametrize(
    ("given_", "why"),
    [
        ({"reports": False}, "the way out it was given to does not report what became of letters"),
        ({"later": 0}, "no letter that left later"),
        ({"last_at": None}, "no report has come since that time was over"),
        ({"last_at": OVER - MINUTE}, "no report has come since that time was over"),
        ({"silent": 2}, "2 accepted letters of that time were not reported on either"),
        ({"lost": True}, "the database was restored"),
        ({"unread": 3}, "3 reports that came since have not been read"),
    ],
)
def test_each_doubt_alone_prevents_the_proof(given_, why):
    (said,) = doubts(START, OVER + MINUTE, replace(CLEAR, **given_), now=OVER)
    assert said.startswith(why)


def test_a_report_may_still_come_for_a_day_and_an_hour():
    (said,) = doubts(START, None, CLEAR, now=OVER - MINUTE)
    assert said == "a report may still come until 2026-03-03 10:00 UTC"


def test_what_is_too_late_is_not_sent_again():
    assert doubts(START, OVER, CLEAR, now=OVER) == ("it is too late to send it by now",)


FEEDS = st.builds(
    Feed,
    reports=st.booleans(),
    later=st.integers(0, 2),
    silent=st.integers(0, 2),
    unread=st.integers(0, 2),
    last_at=st.none() | st.timedeltas(timedelta(-1), timedelta(3)).map(lambda span: OVER + span),
)


@given(FEEDS, st.timedeltas(timedelta(0), timedelta(3)))
def test_it_is_proven_only_when_all_is_clear(feed, passed):
    quiet = not feed.silent and not feed.unread
    clear = feed.reports and feed.later and quiet and feed.last_at is not None and feed.last_at >= OVER
    assert (doubts(START, None, feed, now=START + passed) == ()) is bool(clear and passed >= REPORTS_LAST)
