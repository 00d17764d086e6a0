from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.inbound.returns import returns_on

FRIDAY = date(2026, 12, 18)


@pytest.mark.parametrize(
    ("note", "back"),
    [
        ("I am away and return on 2027-01-07.", "2027-01-07"),
        ("Back on 5 January 2027", "2027-01-05"),
        ("I will be back January 5th.", "2027-01-05"),
        ("Out of office from December 20 until January 4. For urgent matters call 030 1234567.", "2027-01-05"),
        ("Away 20 December to 4 January, back on the 6th of January", "2027-01-06"),
        ("Ich bin bis zum 05.01. nicht im Büro.", "2027-01-06"),
        ("Ab dem 7. Januar 2027 bin ich wieder erreichbar.", "2027-01-07"),
        ("Vom 20.12.2026 bis 05.01.27 im Urlaub, ab 06.01.27 bin ich zurück.", "2027-01-06"),
        ("Absent du 20 décembre au 4 janvier.", "2027-01-05"),
        ("Je serai de retour le lundi 4 janvier 2027.", "2027-01-04"),
        ("Vuelvo el 7 de enero de 2027.", "2027-01-07"),
        ("Estaré fuera hasta el viernes 8 de enero", "2027-01-09"),
        ("Sono in ferie fino al 6 gennaio", "2027-01-07"),
        ("Rientro il 7 gennaio.", "2027-01-07"),
        ("Tot en met 3 januari ben ik met vakantie; 4 januari ben ik weer bereikbaar.", "2027-01-04"),
        ("Estou de férias até 5 de janeiro.", "2027-01-06"),
        ("Regresso a 6 de janeiro", "2027-01-06"),
        ("Returning 13/01/2027", "2027-01-13"),
        ("Returning 01/13/2027", "2027-01-13"),
        ("Back on Monday!", "2026-12-21"),
        ("back Friday", "2026-12-25"),
        ("Ich bin am Dienstag zurück. Wieder da: Dienstag", "2026-12-22"),
        ("Back 29 February 2028", None),
        ("Returning 03/04/2027", None),
        ("I was back on 3 May 2020", None),
        ("Back on 2026-12-18", None),
        ("Back on 31 February", None),
        ("Thank you, may 2 of us call you at 10.30?", None),
        ("Call 030.12.10.11 or see version 1.2.3", None),
        ("Hello", None),
        ("", None),
    ],
)
def test_the_day_of_return_is_read_from_a_note(note, back):
    found = returns_on(note, FRIDAY)

    assert (found.isoformat() if found else None) == back


@given(
    st.text(max_size=200) | st.text("0123456789.-/ JanuaryMay until back\n", max_size=200),
    st.dates(min_value=date(2020, 1, 1), max_value=date(2090, 1, 1)),
)
def test_a_day_of_return_lies_ahead_and_not_too_far(note, received_on):
    found = returns_on(note, received_on)

    assert found is None or received_on < found <= received_on + timedelta(days=401)
