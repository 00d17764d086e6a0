"""A shop as it is deployed: a web process and workers, PostgreSQL, Redis, and a local SendGrid that talks back."""

import os
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine, func, select

from followup.authoring.acts_file import Act
from followup.clock import VirtualClock
from followup.core.replies import InboundState
from followup.core.tokens import TokenPurpose, sign
from followup.mail.message import MailIdentity
from followup.services.deliver import Post
from followup.services.library import Library
from followup.services.replay import Due, Replay
from followup.services.sweep import next_moment
from followup.store import inbound_mail
from followup.store.engine import reading
from followup.store.messages import AcceptedLetter
from followup.store.schema import messages
from tests.local_sendgrid import Entry, LocalSendGrid, Signer, post_inbound
from tests.local_sendgrid.server import EventSender
from tests.wire.clock import set_clock

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 60.0  # seconds until something that does not happen is a failure
IDENTITY = MailIdentity(
    reply_domain="reply.forge.example",
    public_url="http://localhost:8000",
    keys=("a-key-of-the-tests-that-is-long-enough",),
)


def until(happened, *, what: str, patience: float = PATIENCE):
    """Poll *happened* until it is true; return what it returned."""
    end = time.monotonic() + patience
    while not (found := happened()):
        assert time.monotonic() < end, f"{what} did not happen in {patience:g} s"
        time.sleep(0.005)
    return found


@dataclass
class Process:
    """A process of the deployment, with its log in a file."""

    popen: subprocess.Popen
    log: Path

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.popen.send_signal(number)
        return self.popen.wait(PATIENCE)


@dataclass
class Deployment:
    """What runs, and where it is reached."""

    folder: Path
    env: Mapping[str, str]
    sendgrid: LocalSendGrid
    signer: Signer
    web_url: str = ""
    events: EventSender | None = None
    processes: list[Process] = field(default_factory=list)

    def start(self, *command: str) -> Process:
        """Start ``python *command*`` with the deployment's settings, as leader of a process group."""
        log = self.folder / f"process-{len(self.processes)}.log"
        with log.open("wb") as file:
            popen = subprocess.Popen(
                [sys.executable, *command], env=self.env, cwd=ROOT, stdout=file, stderr=file, start_new_session=True
            )
        process = Process(popen, log)
        self.processes.append(process)
        return process

    def start_web(self, clock_file: Path) -> Process:
        """Start a web process on a free port, and have the local SendGrid report to it from now on."""
        port_file = self.folder / f"port-{len(self.processes)}"
        process = self.start("-m", "tests.wire.process", "web", str(clock_file), str(port_file))
        until(lambda: port_file.exists() or process.popen.poll() is not None, what="the start of the web process")
        assert process.popen.poll() is None, self.logs()
        self.web_url = f"http://127.0.0.1:{port_file.read_text()}"
        self.events = EventSender(f"{self.web_url}/hooks/sendgrid/events", self.signer)
        return process

    def start_worker(self, clock_file: Path) -> Process:
        return self.start("-m", "tests.wire.process", "worker", str(clock_file))

    def logs(self) -> str:
        return "\n".join(process.log.read_text(errors="replace") for process in self.processes)


@contextmanager
def deployment(folder: Path, *, database_url: str, redis_url: str, **more: str) -> Iterator[Deployment]:
    """Yield a deployment whose processes are killed at the end; nothing runs yet but the local SendGrid."""
    running: Deployment

    def tell(entry: Entry) -> None:
        if running.events is not None:
            running.events.tell(entry)

    with LocalSendGrid(on_entry=tell) as sendgrid:
        signer = sendgrid.signer
        env = {
            "PATH": "/usr/bin:/bin",
            "FOLLOWUP_PROJECT": str(ROOT),
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "FOLLOWUP_MODE": "live",
            "FOLLOWUP_TRANSPORT": "sendgrid",
            "FOLLOWUP_SENDGRID_URL": sendgrid.url,
            "SENDGRID_API_KEY": sendgrid.api_key,
            "FOLLOWUP_SENDGRID_EVENT_KEYS": signer.public_key,
            "FOLLOWUP_SENDGRID_INBOUND_KEYS": signer.public_key,
            "FOLLOWUP_SECRET_KEYS": IDENTITY.keys[0],
            "FOLLOWUP_SUPPRESSION_KEY": IDENTITY.keys[0],
            "FOLLOWUP_REPLY_DOMAIN": IDENTITY.reply_domain,
            "FOLLOWUP_PUBLIC_URL": IDENTITY.public_url,
            "FOLLOWUP_SWEEP_SECONDS": "0.02",
            "FOLLOWUP_PROXIES": "1",
            **more,
        }
        running = Deployment(folder, env, sendgrid, signer)
        try:
            yield running
        finally:
            if running.events is not None:
                running.events.stop()
            for process in running.processes:
                if process.popen.poll() is None:
                    os.killpg(process.popen.pid, signal.SIGKILL)
                    process.popen.wait()


@dataclass(frozen=True)
class Clocks:
    """The files in which the business time of each kind of process stands."""

    web: Path
    workers: Path

    @classmethod
    def at(cls, moment: datetime, folder: Path) -> "Clocks":
        clocks = cls(folder / "web.clock", folder / "workers.clock")
        set_clock(clocks.web, moment)
        set_clock(clocks.workers, moment)
        return clocks


class OverTheWire(Replay):
    """
    A replay whose moments happen in a deployment: clicks and mails go over HTTP, and its workers do the rest.

    Web process and workers have clocks of their own. At each moment the web's is moved first, then what customers
    do comes in, and when that has been read the workers' clock is moved: so the order of things is that of a replay.
    """

    def __init__(self, running: Deployment, clocks: Clocks, engine: Engine, acts: Sequence[Act], clock: VirtualClock):
        post = Post(transport=Nowhere(), identity=IDENTITY, suppression_key=IDENTITY.keys[0])
        super().__init__(engine, acts, Library(), post, clock)
        self.running, self.clocks = running, clocks

    def act(self, due: Due) -> None:
        set_clock(self.clocks.web, self.clock.now())
        super().act(due)
        until(lambda: nothing_to_read(self.engine), what="the reading of what came in")

    def click(self, letter: AcceptedLetter, choice: str, due: Due) -> None:
        page = f"{self.running.web_url}/a/{sign(TokenPurpose.ANSWER, letter.token, IDENTITY.keys)}"
        form = urllib.parse.urlencode({"choice": choice, "comment": ""}).encode()
        number = letter.customer_id  # each from an address of their own, or the rate limit would hold them for one
        address = {"X-Forwarded-For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"}
        for url, body in ((f"{page}/{choice}", None), (page, form)):
            with urllib.request.urlopen(urllib.request.Request(url, body, address), timeout=PATIENCE) as response:
                assert response.status == 200

    def mail(self, raw: bytes, letter: AcceptedLetter) -> None:
        url = f"{self.running.web_url}/hooks/sendgrid/inbound"
        to = IDENTITY.reply_address(letter.token)
        assert post_inbound(url, raw, to, letter.email, signer=self.running.signer) == 200

    def work(self) -> int:
        moment = self.clock.now()
        set_clock(self.clocks.web, moment)
        set_clock(self.clocks.workers, moment)
        until(lambda: all_done(self.engine, moment), what=f"the work of {moment}")
        return 0


class Nowhere:
    """The way out of a process that sends nothing."""

    name = "nowhere"

    def send(self, mails, *, may_begin):
        raise AssertionError("only workers send")
        yield

    def recover(self, mail):
        raise AssertionError("only workers send")


def nothing_to_read(engine: Engine) -> bool:
    with reading(engine) as conn:
        return not inbound_mail.count_by_state(conn).get(InboundState.RECEIVED.value)


def all_done(engine: Engine, moment: datetime) -> bool:
    """Tell whether a deployment has nothing left to do at *moment*, and nothing under way."""
    under_way = (messages.c.state == "claimed") | (messages.c.state == "sending")
    with reading(engine) as conn:
        following = next_moment(conn)
        if following is not None and following <= moment:
            return False
        return not conn.scalar(select(func.count()).where(under_way))
