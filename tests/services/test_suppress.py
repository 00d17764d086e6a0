"""Whom we never write to: what operators add, take back, and bring in from wherever it was."""

from datetime import UTC, datetime, timedelta

import pytest

from followup.errors import FollowupError, NotFound, UsageError
from followup.services import suppress
from followup.services.suppress import BadLine
from tests.services.world import CHECK_IN, MONDAY, World, a_purchase

KEY = "never-changes"
ANA, BEN = "ana@example.com", "ben@example.com"


def add(world: World, email: str, workflow: str | None = None) -> suppress.Suppressed | None:
    return suppress.suppress(
        world.engine, email, reason="asked us", workflow=workflow, key=KEY, library=world.library, clock=world.clock
    )


def bring_in(world: World, text: str | bytes, reason: str = "imported") -> suppress.Imported:
    raw = text.encode() if isinstance(text, str) else text
    return suppress.import_list(world.engine, raw, reason=reason, key=KEY, clock=world.clock)


def scopes(world: World, email: str) -> list[tuple[str, str]]:
    return [(one.scope, one.reason) for one in suppress.of_address(world.engine, email, key=KEY)]


# -- by hand --


def test_an_address_is_added_once_and_its_runs_end(world: World) -> None:
    world.take_in(a_purchase("T-1"), a_purchase("T-2"), a_purchase("T-3", email=BEN))
    assert add(world, "Ana@Example.com") == suppress.Suppressed(ending=2)
    assert not add(world, ANA)
    world.later(days=2)
    states = {(run.customer_id, run.state, run.outcome) for run in world.rows("enrollments")}
    assert {(state, outcome) for _, state, outcome in states} == {("exited", "unsubscribed"), ("active", None)}
    assert [letter["To"] for letter in world.letters()] == ["Ana <ben@example.com>"]
    assert [row.action for row in world.rows("audit")].count("suppressions.add") == 1


def test_for_one_workflow_it_stops_that_one(world: World) -> None:
    world.apply(check_in=CHECK_IN, second=CHECK_IN.replace("check-in", "second"))
    world.take_in(a_purchase())
    assert add(world, ANA, "second") == suppress.Suppressed(ending=0)
    world.later(days=2)
    assert {row.workflow: row.state for row in world.rows("messages")} == {
        "check-in": "accepted",
        "second": "cancelled",
    }
    with pytest.raises(NotFound, match="there is no workflow 'third'") as error:
        add(world, ANA, "third")
    assert error.value.hint == "There are: check-in, second"


def test_what_was_asked_for_can_be_taken_back_by_its_scope(world: World) -> None:
    add(world, ANA, "check-in")
    with pytest.raises(NotFound, match="not suppressed for all") as error:
        suppress.lift(world.engine, ANA, workflow=None, key=KEY, clock=world.clock)
    assert error.value.hint == "It is for: check-in"
    suppress.lift(world.engine, ANA, workflow="check-in", key=KEY, clock=world.clock)
    assert scopes(world, ANA) == []
    world.take_in(a_purchase())
    world.later(days=2)
    assert world.states() == ["accepted"]


# -- lists --


@pytest.mark.parametrize(
    "text",
    [
        "ana@example.com\nben@example.com\n",
        "ana@example.com\r\n\r\nben@example.com",
        "\ufeffemail\nana@example.com\nben@example.com\n",
        "email,created\nana@example.com,1764208800\nben@example.com,1764208801\n",
        "created,email,reason,status\n1,ana@example.com,550 no such user,5.1.1\n2,ben@example.com,,\n",
        "Status;E-Mail\nx;ana@example.com\ny;ben@example.com\n",
        "address\tname\nana@example.com\tAna\nben@example.com\tBen\n",
        '"Email"\n"Ana@EXAMPLE.com"\n" ben@example.com "\n',
        "ana@example.com,2020\nben@example.com,2021,and more\n",
    ],
    ids=["bare", "blank lines", "a mark", "unsubscribes", "bounces", "semicolons", "tabs", "quoted", "no header"],
)
def test_a_list_is_read_as_it_comes_and_only_once(world: World, text: str) -> None:
    assert bring_in(world, text) == suppress.Imported(2, 0, ())
    assert bring_in(world, text) == suppress.Imported(0, 2, ())
    assert [len(scopes(world, email)) for email in (ANA, BEN)] == [1, 1]
    assert world.rows("audit")[-1].data == {"added": 0, "known": 2, "bad": 0}


def test_a_reason_of_the_list_is_kept_and_another_given_where_it_has_none(world: World) -> None:
    bring_in(world, f"email,reason\n{ANA},550 no such user\n{BEN},\n", reason="from SendGrid")
    assert (scopes(world, ANA), scopes(world, BEN)) == ([("all", "550 no such user")], [("all", "from SendGrid")])
    bring_in(world, f"email,reason\nc@example.com,{'x' * 999}\n")
    assert len(scopes(world, "c@example.com")[0][1]) == 200


def test_lines_that_cannot_be_used_are_named_and_the_others_taken(world: World) -> None:
    text = "email,name\nana@example.com,Ana\nnobody,N\n\n,empty\nben@example.com\n\ufffd@example.com\n"
    found = bring_in(world, text)
    assert (found.added, [bad.line for bad in found.bad]) == (2, [3, 5, 7])
    assert all(isinstance(bad, BadLine) and bad.message for bad in found.bad)


def test_a_field_without_end_is_a_bad_line(world: World) -> None:
    found = bring_in(world, f'email\n{ANA}\n"{"x" * 140_000}\n')
    assert (found.added, len(found.bad)) == (1, 1)
    assert "quote" in found.bad[0].message


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "the list is empty"),
        (b" \n ", "the list is empty"),
        ("email\nana@example.com\n".encode("utf-16"), "is not UTF-8"),
        ("email\nana@example.com\n".encode("utf-16-le"), "is not UTF-8"),
        (b"name,phone\nAna,1\n", "names no column of addresses: name, phone"),
    ],
)
def test_what_is_no_list_is_refused_whole(world: World, raw: bytes, said: str) -> None:
    with pytest.raises(FollowupError, match=said):
        bring_in(world, raw)
    assert world.rows("suppressions") == []
    assert issubclass(UsageError, FollowupError)


def test_an_address_in_another_encoding_is_not_taken_for_another_one(world: World) -> None:
    found = bring_in(world, "email\njürgen@example.com\nana@example.com\n".encode("latin-1"))
    assert (found.added, [bad.line for bad in found.bad]) == (1, [2])


def test_our_own_export_comes_in_where_the_key_is_the_same(world: World) -> None:
    add(world, ANA)
    add(world, BEN, "check-in")
    listed = suppress.listed(world.engine)
    rows = [f"{one.address_hash},{one.scope},{one.reason},{one.source},{one.at:%Y-%m-%dT%H:%M:%SZ}" for one in listed]
    for email, workflow in ((ANA, None), (BEN, "check-in")):
        suppress.lift(world.engine, email, workflow=workflow, key=KEY, clock=world.clock)
    world.clock.move_to(MONDAY + timedelta(days=9))
    found = bring_in(world, "address_hash,scope,reason,source,at\n" + "\n".join(rows))
    assert (found.added, found.bad) == (2, ())
    assert (scopes(world, ANA), scopes(world, BEN)) == ([("all", "asked us")], [("check-in", "asked us")])
    assert {one.at for one in suppress.listed(world.engine)} == {MONDAY}, "since when it was"


@pytest.mark.parametrize("at", ["2999-01-01", "0001-01-01T00:00:00+14:00", "yesterday", ""])
def test_a_time_that_cannot_be_is_now(world: World, at: str) -> None:
    bring_in(world, f"email,at\n{ANA},{at}\n")
    assert [one.at for one in suppress.listed(world.engine)] == [MONDAY]


def test_a_time_without_a_zone_is_utc(world: World) -> None:
    bring_in(world, f"email,at\n{ANA},2026-01-01 10:00\n")
    assert suppress.listed(world.engine)[0].at == datetime(2026, 1, 1, 10, tzinfo=UTC)


def test_a_hash_that_is_none_of_ours_is_a_bad_line(world: World) -> None:
    found = bring_in(world, "address_hash,scope\nabc,all\n" + "a" * 64 + ",all\n")
    assert (found.added, [bad.line for bad in found.bad]) == (1, [2])


def test_who_is_on_a_list_leaves_every_run(world: World) -> None:
    world.take_in(a_purchase("T-1"), a_purchase("T-2", email=BEN))
    bring_in(world, f"{ANA}\nsomebody@example.com\n")
    world.later(days=2)
    assert sorted((run.state, run.outcome) for run in world.rows("enrollments") if run.outcome) == [
        ("exited", "unsubscribed")
    ]
    assert len(world.letters()) == 1


def test_a_long_list_comes_in_piece_by_piece(world: World) -> None:
    text = "email\n" + "".join(f"c{n}@example.com\n" for n in range(suppress.BATCH + 3))
    assert bring_in(world, text).added == suppress.BATCH + 3
    assert len(suppress.listed(world.engine, limit=7)) == 7
