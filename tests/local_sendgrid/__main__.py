"""
Run the local SendGrid by hand, as the provider of a followup on the same machine.

    python -m tests.local_sendgrid --port 9000 \\
        --events-url http://localhost:8000/hooks/sendgrid/events \\
        --inbound-url http://localhost:8000/hooks/sendgrid/inbound --key-file local-sendgrid.pem

and beside it followup with

    FOLLOWUP_TRANSPORT=sendgrid
    FOLLOWUP_SENDGRID_URL=http://localhost:9000
    SENDGRID_API_KEY=SG.local
    FOLLOWUP_SENDGRID_EVENT_KEYS=<the public key that this prints>

It prints each letter that arrives and posts ``processed`` and ``delivered`` for what it accepts. A letter to
``hang@…``, ``fail@…``, ``limit@…`` or any other name in `behaviour.Behaviour` gets just that. A line typed here
is a customer's answer to the last letter: it is posted to the inbound URL as a mail to the letter's Reply-To.
"""

# ruff: noqa: T201 - it talks to whoever runs it

import argparse
import random
import sys
from email.message import EmailMessage
from email.utils import make_msgid
from pathlib import Path

from tests.local_sendgrid.behaviour import Behaviour
from tests.local_sendgrid.hooks import Signer, post_inbound
from tests.local_sendgrid.server import Entry, EventSender, LocalSendGrid


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--api-key", default="SG.local")
    parser.add_argument("--events-url", help="where delivery events are posted")
    parser.add_argument("--inbound-url", help="where customers' answers are posted")
    parser.add_argument("--key-file", type=Path, help="keeps the signing key between runs (PEM)")
    parser.add_argument("--default", type=Behaviour, choices=list(Behaviour), default=Behaviour.ACCEPT)
    parser.add_argument("--latency", type=float, default=0, help="seconds before each answer")
    parser.add_argument("--chaos", type=int, metavar="SEED", help="events come twice and out of order")
    parser.add_argument("--quiet", action="store_true", help="print no letters")
    given = parser.parse_args()
    signer = _signer(given.key_file)
    chaos = None if given.chaos is None else random.Random(given.chaos)
    sender = EventSender(given.events_url, signer, chaos=chaos) if given.events_url else None

    def on_entry(entry: Entry) -> None:
        if sender:
            sender.tell(entry)
        if not given.quiet:
            print(f"{entry.number:>5}  {entry.behaviour:<20} {entry.to:<40} {entry.subject}", flush=True)

    with LocalSendGrid(
        port=given.port,
        api_key=given.api_key,
        default=given.default,
        latency_seconds=given.latency,
        signer=signer,
        on_entry=on_entry,
    ) as server:
        print(f"listening on {server.url}\nFOLLOWUP_SENDGRID_EVENT_KEYS={signer.public_key}", flush=True)
        try:
            for line in sys.stdin:
                print(_answered(server, signer, given.inbound_url, line.rstrip("\n")), flush=True)
            server.wait()  # started without a terminal
        except KeyboardInterrupt:
            pass
    if sender:
        sender.stop()
    return 0


def _signer(file: Path | None) -> Signer:
    if file is None:
        return Signer()
    if not file.exists():
        file.touch(mode=0o600)
        file.write_bytes(Signer().pem)
    return Signer.from_pem(file.read_bytes())


def _answered(server: LocalSendGrid, signer: Signer, url: str | None, text: str) -> str:
    """Post *text* as the answer to the last accepted letter; return what to say of it."""
    if not url or not server.accepted:
        return "there is no --inbound-url, or no letter to answer yet"
    letter = server.accepted[-1]
    mail = EmailMessage()
    mail["From"], mail["To"] = letter.to, letter.payload["reply_to"]["email"]
    mail["Subject"], mail["Message-ID"] = f"Re: {letter.subject}", make_msgid(domain="customer.example")
    mail["In-Reply-To"] = letter.payload.get("headers", {}).get("Message-ID", "")
    mail.set_content(text)
    try:
        status = post_inbound(url, mail.as_bytes(), mail["To"], letter.to, signer=signer)
    except OSError as error:
        return f"{url}: {error}"
    return f"{url} answered {status}"


if __name__ == "__main__":
    sys.exit(main())
