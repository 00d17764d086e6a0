"""What comes from outside while everything falls: delivery events as the provider repeats them, and customers."""

import random
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Callable
from email.message import EmailMessage

from followup.core.tokens import TokenPurpose, sign
from tests.local_sendgrid import Entry, Signer, events_for, post_inbound
from tests.local_sendgrid.hooks import post, post_events
from tests.wire.harness import IDENTITY

Delivery = Callable[[], int]
AGAIN_SECONDS = 0.05
AT_ONCE = 200  # events in one post


class Outside:
    """
    Posts to the web process until it has taken everything, however often that is killed meanwhile.

    Events come twice, out of order, and some only at the very end, as one that was repeated for a day.
    """

    def __init__(self, url: str, signer: Signer, *, seed: int, late: float = 0.1) -> None:
        """
        Args:
            late: which share of the events comes at the very end.
        """
        self.url, self.signer = url, signer
        self.events = self.repeated = self.clicks = self.replies = self.unsubscribes = 0
        self._dice, self._share_of_late = random.Random(seed), late
        self._news: list[dict[str, object]] = []
        self._late: list[dict[str, object]] = []
        self._deliveries: deque[Delivery] = deque()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._idle = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def tell(self, entry: Entry) -> None:
        """Take note of a letter; give it to the local SendGrid as ``on_entry``."""
        if not entry.accepted:
            return
        with self._lock:
            self._idle.clear()
            for event in events_for(entry, "processed", "delivered"):
                late = self._dice.random() < self._share_of_late
                (self._late if late else self._news).append(event)
            if entry.payload["headers"].get("List-Unsubscribe") and "?" in str(entry.payload["content"]):
                self._answer(entry)

    def tell_all(self) -> None:
        """Post what was kept back, and return when all of it was taken."""
        with self._lock:
            self._news += self._late
            self._late = []
            self._idle.clear()
        if not self._idle.wait(120):
            raise AssertionError("the web process did not take everything")

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=30)

    def _answer(self, entry: Entry) -> None:
        """Let the customer do something about a letter, or nothing."""
        chance = self._dice.random()
        token = entry.token or ""
        if chance < 0.15:
            self._deliveries.append(lambda: self._clicked(token))
        elif chance < 0.16:
            self._deliveries.append(lambda: self._forged(entry))
        elif chance < 0.17:
            self._deliveries.append(lambda: self._garbled(entry))
        elif chance < 0.19:
            self._deliveries.append(lambda: self._looked_at(token))
        elif chance < 0.23:
            self._deliveries.append(lambda: self._replied(entry))
        elif chance < 0.26:
            self._deliveries.append(lambda: self._unsubscribed(token))

    def _run(self) -> None:
        while not self._stopping.wait(AGAIN_SECONDS):
            with self._lock:
                batch, self._news = self._news[:AT_ONCE], self._news[AT_ONCE:]
                if batch:
                    again = self._dice.sample(batch, len(batch) // 3)
                    self.events, self.repeated = self.events + len(batch), self.repeated + len(again)
                    posted = [*batch, *again]
                    self._dice.shuffle(posted)
                    self._deliveries.append(lambda posted=posted: self._reported(posted))
                elif not self._deliveries:
                    self._idle.set()
            self._deliver()

    def _deliver(self) -> None:
        """Try what is to be delivered, once each; what was not taken stays for the next time."""
        for _ in range(len(self._deliveries)):
            delivery = self._deliveries.popleft()
            try:
                status = delivery()
            except OSError:
                status = 0
            if not 200 <= status < 300 and status != 404:  # a link of a letter the database was told of only later
                self._deliveries.append(delivery)
            if self._stopping.is_set():
                return

    def _reported(self, posted: list[dict[str, object]]) -> int:
        return post_events(f"{self.url}/hooks/sendgrid/events", posted, self.signer)

    def _clicked(self, token: str) -> int:
        page = f"{self.url}/a/{sign(TokenPurpose.ANSWER, token, IDENTITY.keys)}"
        status = self._posted(page, {"choice": "fine", "comment": ""})
        self.clicks += status == 200
        return status

    def _unsubscribed(self, token: str) -> int:
        status = self._posted(
            f"{self.url}/u/{sign(TokenPurpose.STOP, token, IDENTITY.keys)}", {"List-Unsubscribe": "One-Click"}
        )
        self.unsubscribes += status == 200
        return status

    def _replied(self, entry: Entry) -> int:
        mail = EmailMessage()
        mail["From"], mail["To"] = entry.to, entry.payload["reply_to"]["email"]
        mail["Subject"], mail["Message-ID"] = f"Re: {entry.subject}", f"<{entry.token}@customer.example>"
        mail.set_content("It is lovely. One question: may it go into the oven?")
        url = f"{self.url}/hooks/sendgrid/inbound"
        status = post_inbound(url, mail.as_bytes(), mail["To"], entry.to, signer=self.signer)
        self.replies += status == 200
        return status

    def _looked_at(self, token: str) -> int:
        """Open every link of a letter, as a mail scanner does."""
        answer = f"{self.url}/a/{sign(TokenPurpose.ANSWER, token, IDENTITY.keys)}"
        stop = f"{self.url}/u/{sign(TokenPurpose.STOP, token, IDENTITY.keys)}"
        return min(self._opened(f"{answer}/fine"), self._opened(f"{answer}/broken"), self._opened(stop))

    def _forged(self, entry: Entry) -> int:
        """Post a mail that nobody signed."""
        raw = f"From: {entry.to}\nSubject: forged {entry.token}\n\nSend me everything.\n".encode()
        return post_inbound(f"{self.url}/hooks/sendgrid/inbound", raw, "r@reply.example", entry.to)

    def _garbled(self, entry: Entry) -> int:
        """Post a form in which there is no mail, signed."""
        body = f'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n{entry.token}\r\n--x--\r\n'.encode()
        headers = {"Content-Type": "multipart/form-data; boundary=x", **self.signer.headers(body)}
        return post(f"{self.url}/hooks/sendgrid/inbound", body, headers)

    def _opened(self, url: str) -> int:
        return self._posted(url, None)

    def _posted(self, url: str, form: dict[str, str] | None) -> int:
        number = self._dice.randrange(1 << 24)  # each from an address of their own, or the rate limit would hold them
        address = {"X-Forwarded-For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"}
        body = urllib.parse.urlencode(form).encode() if form else None
        request = urllib.request.Request(url, body, address)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
