"""Lists of those we never write to, as files: whatever is in one is brought in or told with its line, never a crash."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from followup.errors import FollowupError
from followup.services import suppress
from followup.services.suppress import Imported
from tests.services.world import World

KEY = "never-changes"


def brought_in(world: World, raw: bytes) -> Imported:
    return suppress.import_list(world.engine, raw, reason="imported", key=KEY, clock=world.clock)


@pytest.mark.parametrize(
    ("raw", "added", "bad_lines"),
    [
        (b"\xef\xbb\xbfemail\r\nana@example.com\r\n", 1, []),
        (b"ana@example.com\nben@example.com\n", 2, []),
        (b"email;created\nana@example.com;1795774261\nno address;\n", 1, [3]),
        (b"email,reason\nana@example.com,x\x00y\n".replace(b"email", b"email" + b" " * 5000), 0, [2]),
        (b"email\n" + b" " * 5000 + b"\na\x00na@example.com\nben@example.com\n", 1, [3]),
        (b"email,at\nana@example.com,0001-01-01T00:00:00+23:59\nben@example.com,9999-12-31T23:59:59-23:59\n", 2, []),
        (b"email\n" + b"x" * 200_000 + b"\nben@example.com\n", 1, [2]),
        (b"email,reason\nana@example.com\nben@example.com,a,b,c\n", 2, []),
        ("email\njürgen@example.com\nana@example.com\n".encode("latin-1"), 1, [2]),
        (b'email\n"ana@example.com\nben@example.com\n', 0, [3]),
    ],
    ids=["bom", "plain", "semicolons", "nul in a reason", "nul in an address", "ends of time", "huge", "ragged",
         "latin-1", "open quote"],
)  # fmt: skip
def test_a_line_is_brought_in_or_told(world: World, raw: bytes, added: int, bad_lines: list[int]) -> None:
    found = brought_in(world, raw)
    assert (found.added, [bad.line for bad in found.bad]) == (added, bad_lines)
    assert all("\n" not in bad.message and len(bad.message) < 500 for bad in found.bad)
    assert brought_in(world, raw).added == 0, "the same list again changes nothing"


@pytest.mark.parametrize(
    "raw",
    [b"", b" \n", "email\nana@example.com\n".encode("utf-16"), b"name,city\nana,Rome\n", b"\x00" * 50,
     b"email,Email\nana@example.com,ben@example.com\n"],
    ids=["empty", "blank", "utf-16", "no column", "nul", "a column twice"],
)  # fmt: skip
def test_a_file_that_cannot_be_used_says_what_to_do(world: World, raw: bytes) -> None:
    with pytest.raises(FollowupError) as error:
        brought_in(world, raw)
    assert error.value.hint
    assert world.rows("suppressions") == []


pieces = st.sampled_from(
    [b"email", b"ana@example.com", b",", b"\n", b'"', b"\0", b"at", b"reason", b"\xff", b"\t", b"="]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=200) | st.lists(pieces, max_size=30).map(b"".join))
def test_whatever_bytes_are_brought_in_break_nothing(world: World, raw: bytes) -> None:
    with contextlib.suppress(FollowupError):  # it may be refused
        brought_in(world, raw)
