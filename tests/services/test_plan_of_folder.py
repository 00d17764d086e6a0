"""A plan of changes beside the workflows: the shop, the people, the parts of letters, their languages."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import Engine

from followup.authoring.bundle import load_applied
from followup.authoring.changes import Change
from followup.core.customer import ConsentBasis
from followup.services import deploy
from followup.services.happen import happen
from followup.services.plan import Plan, Soon
from tests.services.phases import FILES
from tests.services.test_plan import THEN, leaves, plan_of
from tests.services.world import PEOPLE, SEND, SHOP, Scripted, World, a_purchase

LETTER = SEND.replace("purpose: service\n", "")  # needs consent, or an order of late
FLOW = """\
workflow: tale
title: Short
status: live
owner: nell
sender: nell
trigger: {event: order.delivered}
send_window: {days: any day, hours: 09:00-18:00, timezone: customer}
steps:
  - wait: 1 hour
  - send: advice
"""
AT_FIRST = {**FILES, "workflows/tale.yaml": FLOW, "templates/advice.md": LETTER}


@pytest.fixture
def waiting(engine: Engine, tmp_path: Path) -> World:
    """Return a shop with two people, of unknown zone and consent, who get a letter within the hour."""
    world = World(engine, tmp_path, transport=Scripted())
    world.files = AT_FIRST
    deploy.put_in_force(engine, load_applied(AT_FIRST), clock=world.clock)
    world.clock.move_to(THEN)
    for number, language in (("T-1", None), ("T-2", "de")):
        email = f"{number}@example.com".lower()
        unknown = {"timezone": None, "consent": ConsentBasis.UNKNOWN}
        world.take_in(a_purchase(number, email=email, language=language, delivered_at=THEN, **unknown))
    world.drain()
    return world


def with_files(**changed: str) -> Mapping[str, str]:
    paths = {"shop": "workflows/shop.yaml", "people": "workflows/people.yaml", "tale": "workflows/tale.yaml"}
    return {**AT_FIRST, **{paths.get(name, f"templates/{name}.md"): text for name, text in changed.items()}}


def comes_true(world: World, files: Mapping[str, str]) -> Plan:
    """Return the plan of these files, which is held against what happens once they are applied."""
    found = plan_of(world, files, {})
    deploy.put_in_force(world.engine, load_applied(files), clock=world.clock)
    assert leaves(world) == found.then
    return found


def test_it_knows_what_the_shop_thinks_of_consent(waiting: World) -> None:
    found = comes_true(waiting, with_files(shop=SHOP + "unknown_consent: strict\n"))
    assert (found.now, found.then) == (Soon(2, 2), Soon(0, 0))


def test_it_knows_in_which_zone_the_shop_supposes_its_customers(waiting: World) -> None:
    found = comes_true(waiting, with_files(shop=SHOP.replace("Europe/London", "Asia/Tokyo")))
    assert (found.now, found.then) == (Soon(2, 2), Soon(0, 2)), "it is night there"


@pytest.mark.parametrize("name", ["people", "shop", "tale"])
def test_a_remark_in_a_file_is_a_change_that_changes_nothing_else(waiting: World, name: str) -> None:
    before = {"people": PEOPLE, "shop": SHOP, "tale": FLOW}[name]
    files = with_files(**{name: before + "# remember the holidays\n"})
    found = plan_of(waiting, files, {})
    assert found
    assert (found.now, found.then) == (Soon(2, 2), Soon(2, 2))
    assert found.changes.people == ()
    deploy.put_in_force(waiting.engine, load_applied(files), clock=waiting.clock)
    assert not plan_of(waiting, files, {})


class TestLetters:
    def test_one_that_includes_a_part_changes_with_it(self, waiting: World) -> None:
        parted = with_files(advice=LETTER.replace("{{ signature }}", '{% include "_parts/bye.md" %}'), care=SEND)
        first = {**parted, "templates/_parts/bye.md": "Bye.\n\n{{ signature }}\n"}
        deploy.put_in_force(waiting.engine, load_applied(first), clock=waiting.clock)
        found = plan_of(waiting, {**first, "templates/_parts/bye.md": "Farewell.\n\n{{ signature }}\n"}, {})
        assert [(one.name, one.change) for one in found.changes.letters] == [("advice", Change.CHANGED)]
        assert [one.name for one in found.changes.others] == ["templates/_parts/bye.md"]

    def test_only_those_of_a_language_get_its_new_words(self, waiting: World) -> None:
        waiting.later(hours=1)
        assert waiting.states() == ["accepted", "accepted"]
        waiting.take_in(a_purchase("T-3", email="c@example.com", language=None, delivered_at=waiting.clock.now()))
        waiting.take_in(a_purchase("T-4", email="d@example.com", language="de", delivered_at=waiting.clock.now()))
        waiting.clock.move_to(waiting.clock.now().replace(hour=23))
        waiting.drain()
        german = with_files(**{"advice.de": LETTER})
        assert plan_of(waiting, german, {}).unsent == {"advice (de)": 1}
        deploy.put_in_force(waiting.engine, load_applied(german), clock=waiting.clock)
        changed = {**german, "templates/advice.md": LETTER.replace("oil", "grease")}
        assert plan_of(waiting, changed, {}).unsent == {"advice": 1}


QUIET = """\
workflow: quiet
title: Are you still there?
status: live
owner: nell
sender: nell
trigger: {event: customer.quiet, after: 10 days, per: customer}
steps:
  - send: care
"""


def test_it_knows_what_has_happened_that_only_the_folder_listens_to(waiting: World) -> None:
    about = {"email": "t-1@example.com", "order_number": "T-1", "data": {}, "key": None, "at": None}
    happen(waiting.engine, "ticket.solved", **about, library=waiting.library, clock=waiting.clock)
    waiting.drain()
    listens = FLOW.replace("steps:", "exit_on: [{event: ticket.solved, as: solved}]\nsteps:")
    found = comes_true(waiting, with_files(tale=listens))
    assert (found.now, found.then) == (Soon(2, 2), Soon(1, 1))
    assert [place.at_once for place in found.places] == [1]


class TestWhoComesIn:
    def test_those_who_have_just_become_quiet_come_in_at_once(self, waiting: World) -> None:
        waiting.later(days=6)  # they bought five days before it began
        waiting.take_in(a_purchase("T-3", email="c@example.com", delivered_at=waiting.clock.now()))
        files = with_files() | {"workflows/quiet.yaml": QUIET}
        (found,) = plan_of(waiting, files, {}).goes_live
        assert (found.at_once, found.happened, found.entering, found.refused) == (True, 2, 2, {})
        deploy.put_in_force(waiting.engine, load_applied(files), clock=waiting.clock)
        assert plan_of(waiting, files, {}).goes_live == ()
        waiting.drain()
        assert [row.customer_id for row in waiting.rows("enrollments") if row.workflow == "quiet"] == [1, 2]

    def test_so_they_do_when_it_loses_its_patience(self, waiting: World) -> None:
        patient = with_files() | {"workflows/quiet.yaml": QUIET.replace("10 days", "60 days")}
        deploy.put_in_force(waiting.engine, load_applied(patient), clock=waiting.clock)
        waiting.later(days=6)  # they bought five days before it began
        (found,) = plan_of(waiting, with_files() | {"workflows/quiet.yaml": QUIET}, {}).goes_live
        assert (found.workflow, found.entering) == ("quiet", 2)

    def test_whose_silence_was_noticed_while_it_was_paused_does_not_come_in(self, waiting: World) -> None:
        paused = with_files() | {"workflows/quiet.yaml": QUIET.replace("status: live", "status: paused")}
        deploy.put_in_force(waiting.engine, load_applied(paused), clock=waiting.clock)
        waiting.later(days=6)
        live = with_files() | {"workflows/quiet.yaml": QUIET}
        (found,) = plan_of(waiting, live, {}).goes_live
        assert (found.happened, found.entering) == (None, 0)
        shorter = with_files() | {"workflows/quiet.yaml": QUIET.replace("10 days", "9 days")}
        (found,) = plan_of(waiting, shorter, {}).goes_live
        assert (found.happened, found.entering) == (0, 0), "of that silence they were noticed as well"
        deploy.put_in_force(waiting.engine, load_applied(live), clock=waiting.clock)
        waiting.drain()
        assert {row.workflow for row in waiting.rows("enrollments")} == {"tale"}

    def test_who_is_inside_already_does_not_come_in_again(self, waiting: World) -> None:
        paused = FLOW.replace("status: live", "status: paused")
        deploy.put_in_force(waiting.engine, load_applied(with_files(tale=paused)), clock=waiting.clock)
        late = a_purchase("T-3", email="c@example.com", delivered_at=waiting.clock.now())
        waiting.take_in(late, enroll=False)
        (found,) = plan_of(waiting, AT_FIRST, {}).goes_live
        assert (found.happened, found.entering) == (3, 1)
        assert found.refused == {"entered already with this order": 2}
