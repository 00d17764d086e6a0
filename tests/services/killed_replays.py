"""
A process that replays into several databases and is killed in each at another point.

Run by test_replay. Each replay runs in a child of its own, killed (SIGKILL) by itself right before or
right after one of its commits; then a second child starts the same replay again and lets it end.
"""

import json
import os
import signal
import sys
from pathlib import Path

from sqlalchemy import Engine, event

from followup.authoring.acts_file import read_acts
from followup.authoring.bundle import read_folder
from followup.clock import VirtualClock
from followup.mail.message import MailIdentity
from followup.mail.outbox import Outbox
from followup.services import deploy
from followup.services.deliver import Post
from followup.services.library import Library
from followup.services.replay import replay
from followup.shops.csv_file import read_orders
from followup.store.engine import make_engine
from followup.store.upgrade import upgrade


def play(url: str, outbox: Path, project: Path, orders: Path, acts: Path) -> None:
    """Replay into *url* as the command does."""
    purchases = list(read_orders(orders))
    clock = VirtualClock(min(purchase.order.placed_at for purchase in purchases))
    engine = make_engine(url)
    upgrade(engine)
    deploy.apply(engine, read_folder(project), clock=clock)
    identity = MailIdentity(reply_domain="reply.test", public_url="https://x.test", keys=("key",))
    post = Post(transport=Outbox(outbox, clock), identity=identity, suppression_key="key")
    replay(engine, purchases, read_acts(acts), library=Library(), post=post, clock=clock)
    engine.dispose()


class Points:
    """Counts what happens around commits, and ends the process at the one it was given."""

    def __init__(self, last: int | None = None) -> None:
        self.seen, self.last = 0, last
        event.listen(Engine, "commit", self.pass_by)  # right before the commit
        event.listen(Engine, "begin", self.pass_by)  # right after the one before

    def pass_by(self, _: object) -> None:
        self.seen += 1
        if self.seen == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


def in_a_child(task, *args) -> int:
    """Run *task* in a child and return how it ended: 0, or minus the signal."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            task(*args)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def count(url: str, outbox: Path, *files: Path) -> None:
    points = Points()
    play(url, outbox, *files)
    (outbox.parent / "points").write_text(str(points.seen))


def die_at(point: int, *args) -> None:
    Points(point)
    play(*args)


def main(urls: list[str], folder: Path, *files: Path) -> list[dict[str, int]]:
    """Replay whole into the first database, killed into the others; return how each child ended."""
    ends = [{"point": 0, "first": in_a_child(count, urls[0], folder / "outbox0", *files), "second": 0}]
    points = int((folder / "points").read_text())
    for number, url in enumerate(urls[1:], start=1):
        point = points * number // len(urls)
        outbox = folder / f"outbox{number}"
        first = in_a_child(die_at, point, url, outbox, *files)
        ends.append({"point": point, "first": first, "second": in_a_child(play, url, outbox, *files)})
    return ends


if __name__ == "__main__":
    urls, folder, *files = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(main(urls, Path(folder), *map(Path, files))))
