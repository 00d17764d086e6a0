"""Virtual time: the same on every database, and the same after any crash."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from followup.authoring.acts_file import read_acts
from followup.authoring.bundle import read_folder
from followup.authoring.starter import DEMO, make_project
from followup.clock import VirtualClock
from followup.mail.message import MailIdentity
from followup.mail.outbox import Outbox
from followup.services import deploy
from followup.services.deliver import Post
from followup.services.library import Library
from followup.services.replay import Replayed, replay
from followup.shops.csv_file import read_orders
from followup.store.engine import make_engine
from followup.store.upgrade import upgrade
from tests.services.killed_replays import play
from tests.services.told import told_by
from tests.services.world import ASK, CHECK_IN, OPEN, PEOPLE, SHOP, World, a_purchase

KILLS = 20
KILLS_ON_POSTGRESQL = 8  # where each takes as long as three
ACTS = """\
- {order: T-1, letter: arrived, after: 3 hours, answers: fine}
- {order: T-2, letter: arrived, after: 26 hours, replies: mail.eml}
- {order: T-2, letter: arrived, after: 50 hours, closes: true}
- {order: T-2, letter: cooking, after: 3 hours, replies: again.eml}
"""
MAIL = b"From: Ben <ben@example.com>\nSubject: Re: x\nContent-Type: text/plain\n\nThe lid is cracked.\n"
FILES = {
    "workflows/people.yaml": PEOPLE,
    "workflows/shop.yaml": SHOP,
    "workflows/check-in.yaml": CHECK_IN,
    "templates/arrived.md": ASK,
    "templates/cooking.md": OPEN,
}
ORDERS = """\
order_id,placed_at,delivered_at,status,email,first_name,timezone,total,product,category,price
T-1,2026-03-02T10:00:00+00:00,2026-03-05T12:00:00+00:00,delivered,ana@example.com,Ana,Europe/Lisbon,129,Pan,pans,129
T-2,2026-03-03T10:00:00+01:00,2026-03-06T12:00:00+01:00,delivered,ben@example.com,Ben,Europe/Berlin,94,Knife,knives,94
T-3,2026-03-04T10:00:00-05:00,2026-03-09T12:00:00-05:00,delivered,cy@example.com,Cy,America/New_York,129,Pan,pans,129
"""


def demo(url: str, folder: Path) -> Replayed:
    """Replay the demo's orders and customers into *url*."""
    make_project(folder)
    engine = make_engine(url)
    upgrade(engine)
    purchases = list(read_orders(DEMO / "orders.csv"))
    clock = VirtualClock(min(purchase.order.placed_at for purchase in purchases))
    deploy.apply(engine, read_folder(folder), clock=clock)
    identity = MailIdentity(reply_domain="reply.test", public_url="https://x.test", keys=("k",))
    post = Post(transport=Outbox(folder / "outbox", clock), identity=identity, suppression_key="k")
    result = replay(engine, purchases, read_acts(DEMO / "acts.yaml"), library=Library(), post=post, clock=clock)
    engine.dispose()
    return result


def test_a_replay_ends_the_same_on_both_databases(empty_postgres_url: str, tmp_path: Path) -> None:
    sqlite_url = f"sqlite:///{tmp_path / 'a.db'}"
    demo(sqlite_url, tmp_path / "a")
    demo(empty_postgres_url, tmp_path / "b")
    left, right = told_by(sqlite_url), told_by(empty_postgres_url)
    assert left == right
    assert len(left["messages"]) > 20
    assert {row[4] for row in left["messages"]} >= {"accepted", "held"}


def written_down(folder: Path) -> tuple[Path, Path, Path]:
    """Write project, orders and acts; return where they are."""
    for path, text in FILES.items():
        (folder / "project" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "project" / path).write_text(text)
    (folder / "orders.csv").write_text(ORDERS)
    (folder / "acts.yaml").write_text(ACTS)
    (folder / "mail.eml").write_bytes(MAIL)
    (folder / "again.eml").write_bytes(MAIL.replace(b"The lid is cracked.", b"Soup, mostly."))
    return folder / "project", folder / "orders.csv", folder / "acts.yaml"


def test_a_replay_killed_at_any_of_twenty_points_and_started_again_ends_the_same(
    request: pytest.FixtureRequest, many_database_urls, tmp_path: Path
) -> None:
    kills = KILLS if request.node.callspec.params["many_database_urls"] == "sqlite" else KILLS_ON_POSTGRESQL
    files = [str(path) for path in written_down(tmp_path)]
    urls = many_database_urls(kills + 1)
    ran = subprocess.run(
        [sys.executable, "-m", "tests.services.killed_replays", json.dumps([urls, str(tmp_path), *files])],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    whole, *killed = json.loads(ran.stdout)
    assert (whole["first"], len(killed)) == (0, kills)
    assert {(one["first"], one["second"]) for one in killed} == {(-9, 0)}, "each was killed once, then came to its end"
    assert len({one["point"] for one in killed}) == kills
    expected = told_by(urls[0])
    accepted = [row[4] for row in expected["messages"]].count("accepted")
    assert accepted > 5
    for number, url in enumerate(urls):
        assert told_by(url) == expected, f"killed at {killed[number - 1]}"
        letters = list((tmp_path / f"outbox{number}").glob("*.eml"))
        assert len(letters) == accepted, "none lost, none twice"


def test_a_replay_played_again_changes_nothing(empty_database_url: str, tmp_path: Path) -> None:
    files = written_down(tmp_path)
    play(empty_database_url, tmp_path / "outbox", *files)
    once = told_by(empty_database_url)
    assert sorted(closed is None for _, closed in once["conversations"]) == [False, True], "the second stays open"
    play(empty_database_url, tmp_path / "outbox", *files)
    assert told_by(empty_database_url) == once


def test_time_stops_where_it_is_told_to(world: World) -> None:
    purchases = [a_purchase()]
    world.clock = VirtualClock(purchases[0].order.placed_at)
    until = purchases[0].order.placed_at + timedelta(days=6)
    result = replay(world.engine, purchases, [], library=world.library, post=world.post, clock=world.clock, until=until)
    assert result.ended_at is not None
    assert result.ended_at <= until
    assert world.states() == []
