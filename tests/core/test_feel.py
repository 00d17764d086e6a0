"""What a customer would feel of many letters."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from followup.core.feel import GAPS, LONG, OURS, Contact, Feeling, FeelKind, Touch, feel
from followup.core.schedule import Calendar

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
LONDON, TOKYO = Calendar(ZoneInfo("Europe/London")), Calendar(ZoneInfo("Asia/Tokyo"))
Q, L, R, T, P = Contact.QUESTION, Contact.LETTER, Contact.REMINDER, Contact.THEIRS, Contact.PERSON


def touch(days: float, contact: Contact = L, letter: str = "hello") -> Touch:
    return Touch(NOON + days * DAY, contact, letter)


def felt(kind: FeelKind, *touches: Touch, calendar: Calendar = LONDON) -> list[Feeling]:
    return [one for one in feel(touches, calendar) if one.kind is kind]


def test_nothing_stands_out_where_nothing_is_much() -> None:
    assert feel([], LONDON) == []
    assert feel([touch(0, Q), touch(1, T), touch(10), touch(20, Q, "other")], LONDON) == []


def test_the_longest_times_without_contact_stand_out() -> None:
    days = [0, 40, 69, 200, 231, 300]
    found = felt(FeelKind.GAP, *(touch(day, T) for day in days))
    assert [one.days for one in found] == [40, 131, 69]
    assert felt(FeelKind.GAP, touch(0, T), touch(29.9, P)) == []
    assert [one.days for one in felt(FeelKind.GAP, touch(0, T), touch(30, P))] == [30]


def test_letters_in_a_row_stand_out_until_somebody_says_something() -> None:
    (found,) = felt(FeelKind.UNANSWERED, touch(0, Q, "a"), touch(3, R, "a"), touch(9, L, "b"), touch(10, T), touch(11))
    assert (found.letters, found.days) == (("a", "a", "b"), 9)
    assert felt(FeelKind.UNANSWERED, touch(0), touch(3), touch(4, T), touch(5), touch(6)) == []
    assert felt(FeelKind.UNANSWERED, touch(0), touch(3), touch(4, P), touch(5), touch(6)) == []


def test_a_question_that_is_asked_again_stands_out_and_its_reminder_does_not() -> None:
    assert felt(FeelKind.ASKED_AGAIN, touch(0, Q, "a"), touch(3, R, "a"), touch(9, L, "a"), touch(9, Q, "b")) == []
    (found,) = felt(FeelKind.ASKED_AGAIN, touch(0, Q, "a"), touch(5, T, "a"), touch(9, Q, "a"))
    assert (found.since, found.until, found.letters) == (NOON, NOON + 9 * DAY, ("a", "a"))


def test_a_letter_at_an_odd_hour_stands_out_by_the_customers_clock() -> None:
    def at(hour: int, calendar: Calendar) -> bool:
        moment = NOON.replace(hour=hour)
        return bool(felt(FeelKind.ODD_HOUR, Touch(moment, L, "a"), calendar=calendar))

    assert [at(hour, LONDON) for hour in (7, 8, 20, 21)] == [True, False, False, True]
    assert [at(hour, TOKYO) for hour in (11, 12, 22, 23)] == [False, True, True, False]
    assert felt(FeelKind.ODD_HOUR, Touch(NOON.replace(hour=3), T, "a")) == []


def test_several_letters_on_one_day_of_the_customer_stand_out() -> None:
    evening, night = NOON.replace(hour=14), NOON.replace(hour=16)  # in Tokyo it is the next day by then
    two = Touch(evening, Q, "a"), Touch(night, L, "b")
    (found,) = felt(FeelKind.SAME_DAY, *two)
    assert found.letters == ("a", "b")
    assert felt(FeelKind.SAME_DAY, *two, calendar=TOKYO) == []
    assert felt(FeelKind.SAME_DAY, two[0], Touch(night, T, "a")) == []


@given(st.lists(st.tuples(st.integers(0, 5000), st.sampled_from(list(Contact)), st.sampled_from("abc"))))
def test_every_feeling_lies_within_what_was_and_is_about_letters(drawn: list[tuple[int, Contact, str]]) -> None:
    touches = sorted((Touch(NOON + hours * HOUR, *rest) for hours, *rest in drawn), key=lambda one: one.at)
    found = feel(touches, LONDON)
    assert found == sorted(found, key=lambda one: one.since)
    moments = {one.at for one in touches}
    for one in found:
        assert {one.since, one.until} <= moments
        assert one.since <= one.until
    gaps = [one for one in found if one.kind is FeelKind.GAP]
    assert len(gaps) <= GAPS
    assert all(one.until - one.since >= LONG for one in gaps)
    in_rows = sum(len(one.letters) for one in found if one.kind is FeelKind.UNANSWERED)
    assert in_rows <= sum(one.contact in OURS for one in touches)
