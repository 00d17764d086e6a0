import resource
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from followup.clock import VirtualClock
from followup.core.message import Accepted, Cause, Misconfigured, RetrySafe
from followup.mail.message import Origin
from followup.mail.outbox import Outbox, file_name
from followup.mail.transport import Transport
from tests.mail.letters import NOW, a_mail, all_sent

CLOCK = VirtualClock(datetime(2026, 3, 2, 12, tzinfo=UTC))


@pytest.fixture
def outbox(tmp_path):
    return Outbox(tmp_path / "outbox", CLOCK)


def sent(outbox, *mails):
    transport: Transport = outbox
    return [answer for _, answer in all_sent(transport, mails)]


def test_a_letter_is_a_file_that_a_mail_client_opens(outbox):
    mail = a_mail(text="Grüße", html="<p>Grüße</p>")

    assert sent(outbox, mail) == [Accepted(mail.token)]

    [path] = outbox.folder.iterdir()
    message = message_from_bytes(path.read_bytes(), policy=default)
    assert path.name == f"20260302T090000Z_ask_{mail.token}.eml"
    assert message["Subject"] == "How is the lamp?"
    assert message.get_body(("plain",)).get_content().strip() == "Grüße"
    assert message.get_body(("html",)).get_content().strip() == "<p>Grüße</p>"


def test_the_same_letter_sent_twice_is_one_file(outbox):
    mail = a_mail()

    assert sent(outbox, mail, mail) == [Accepted(mail.token)] * 2

    assert len(list(outbox.folder.iterdir())) == 1


def test_looking_tells_what_became_of_a_letter(outbox):
    mail = a_mail()

    assert outbox.recover(mail) == RetrySafe(CLOCK.now(), "the outbox holds no such letter", Cause.KEPT)
    sent(outbox, mail)
    assert outbox.recover(mail) == Accepted(mail.token)


def test_a_file_name_stays_inside_the_folder(outbox):
    mail = a_mail(origin=Origin("w", "s", "../../etc/passwd\x00:é", "Lumen"))

    assert file_name(mail) == f"{NOW:%Y%m%dT%H%M%SZ}_etc-passwd_{mail.token}.eml"


def test_a_folder_that_cannot_be_one_is_a_wrong_setting(tmp_path):
    (tmp_path / "file").write_text("")
    outbox = Outbox(tmp_path / "file" / "outbox", CLOCK)

    [answer] = sent(outbox, a_mail())

    assert isinstance(answer, Misconfigured)
    assert "Not a directory" in answer.reason
    assert isinstance(outbox.recover(a_mail()), RetrySafe)


def test_a_full_disk_is_worth_another_try_and_leaves_nothing_behind(outbox):
    # A limit on file size stands for the full disk: the write fails half way with the letter's first bytes down.
    sent(outbox, a_mail())
    big = a_mail(text="x" * 100_000, origin=Origin("w", "s", "big", "Lumen"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        [answer] = sent(outbox, big)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)

    assert isinstance(answer, RetrySafe)
    assert (answer.not_before, answer.cause) == (CLOCK.now(), Cause.FAILED), "the row says how long to wait"
    assert [path.name for path in outbox.folder.iterdir()] == [file_name(a_mail())]
    assert sent(outbox, big) == [Accepted(big.token)]


def test_a_crash_half_way_leaves_no_letter_under_its_name(tmp_path, outbox):
    # The process dies in fsync, with the bytes written and the file not yet renamed.
    code = textwrap.dedent(
        """
        import os, sys
        from datetime import UTC, datetime
        from pathlib import Path
        sys.path.insert(0, sys.argv[1])
        from tests.mail.letters import a_mail
        from followup.clock import VirtualClock
        from followup.mail.outbox import Outbox
        from followup.mail.transport import always
        os.fsync = lambda handle: os._exit(9)
        outbox = Outbox(Path(sys.argv[2]), VirtualClock(datetime(2026, 1, 1, tzinfo=UTC)))
        list(outbox.send([a_mail()], may_begin=always))
        """
    )
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", code, root, outbox.folder], check=False)

    assert ended.returncode == 9
    assert not list(outbox.folder.glob("*.eml"))
    assert isinstance(outbox.recover(a_mail()), RetrySafe)
    assert sent(outbox, a_mail()) == [Accepted(a_mail().token)]
