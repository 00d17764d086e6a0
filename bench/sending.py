"""
Post letters through our transport and through the sendgrid package, to a local server in a process of its own.

The package posts one letter at a time and opens a connection for each; so it is used here, with one client for
all. Both take turns, so that a busy machine slows both; what counts is the ratio. Payloads are built as part
of the sending, as they are in use.

    python bench/sending.py [--letters 200] [--rounds 5] [--latency-ms 0] [--json]
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import CustomArg, From, Header, Mail, ReplyTo, To

from followup.clock import SystemClock
from followup.core.message import Accepted
from followup.mail.message import OutgoingMail
from followup.mail.sendgrid import SendGrid
from followup.mail.transport import always
from tests.mail.letters import a_mail

ROOT = Path(__file__).resolve().parent.parent
KEY = "SG.local"
SERVER = """
import sys
from tests.local_sendgrid import LocalSendGrid
with LocalSendGrid(latency_seconds=float(sys.argv[1])) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


def letters(count: int) -> list[OutgoingMail]:
    """Return *count* letters of about 4 kB."""
    mail = a_mail(text="Hello Joan. " * 100, html="<p>Hello Joan.</p>" * 100)
    return [replace(mail, token=f"token{number}") for number in range(count)]


def through_ours(url: str) -> Callable[[Sequence[OutgoingMail]], int]:
    transport = SendGrid(KEY, SystemClock(), url=url)

    def send(mails: Sequence[OutgoingMail]) -> int:
        return sum(
            isinstance(answer, Accepted) for _, answer in chain.from_iterable(transport.send(mails, may_begin=always))
        )

    return send


def through_the_package(url: str) -> Callable[[Sequence[OutgoingMail]], int]:
    client = SendGridAPIClient(KEY, host=url)

    def send(mails: Sequence[OutgoingMail]) -> int:
        return sum(client.send(built(mail)).status_code == 202 for mail in mails)

    return send


def built(mail: OutgoingMail) -> Mail:
    """Return *mail* as the package's helpers build it."""
    message = Mail(
        From(mail.from_email, mail.from_name), To(mail.to_email, mail.to_name), mail.subject, mail.text, mail.html
    )
    message.reply_to = ReplyTo(mail.reply_to, mail.from_name)
    for name, value in mail.headers.items():
        message.add_header(Header(name, value))
    message.add_custom_arg(CustomArg("fu_token", mail.token))
    return message


def timed(send: Callable[[Sequence[OutgoingMail]], int], mails: Sequence[OutgoingMail]) -> tuple[float, float]:
    """Return what *mails* take each, in microseconds: wall and CPU of this process."""
    begun, begun_cpu = time.perf_counter(), time.process_time()
    taken = send(mails)
    wall, cpu = time.perf_counter() - begun, time.process_time() - begun_cpu
    assert taken == len(mails), f"{len(mails) - taken} letters were not accepted"
    return wall / len(mails) * 1e6, cpu / len(mails) * 1e6


def measure(count: int, rounds: int, latency_seconds: float) -> dict[str, float]:
    """Return medians over *rounds*, and their ratios."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(latency_seconds)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        url = server.stdout.readline().strip()
        ways = (through_ours(url), through_the_package(url))
        mails = letters(count)
        for way in ways:
            way(mails[:10])  # what is loaded once
        times = [[timed(way, mails) for way in ways] for _ in range(rounds)]
    finally:
        server.stdin.close()
        server.wait(timeout=30)
    ours, package = (
        [statistics.median(figures) for figures in zip(*column, strict=True)] for column in zip(*times, strict=True)
    )
    return {
        "letters": count,
        "rounds": rounds,
        "latency_ms": latency_seconds * 1000,
        "ours_us": round(ours[0]),
        "ours_cpu_us": round(ours[1]),
        "package_us": round(package[0]),
        "package_cpu_us": round(package[1]),
        "ratio": round(package[0] / ours[0], 1),
        "cpu_ratio": round(package[1] / ours[1], 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--letters", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--latency-ms", type=float, default=0, help="how long the server takes over each letter")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    figures = measure(given.letters, given.rounds, given.latency_ms / 1000)
    if given.json:
        print(json.dumps(figures))
    else:
        for key, value in figures.items():
            print(f"{key:<16} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
