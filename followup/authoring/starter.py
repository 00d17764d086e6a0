"""A new project: a copy of the small shop that comes with followup."""

import secrets
from pathlib import Path

from followup.authoring.diagnostics import Report
from followup.authoring.folder import SHOP
from followup.authoring.people import read_shop
from followup.authoring.samples import Sample, read_sample
from followup.core.people import Shop
from followup.errors import UsageError

PACKAGE = Path(__file__).resolve().parent.parent
DEMO = PACKAGE / "demo"  # orders and customers of the demo, and the sample shop as it was
FOLDERS = ("workflows", "templates")

ENV = """\
# Settings of this project; followup config lists them all. Keep this file out of version control.
# Letters go to the outbox folder until a transport and live mode are set.
FOLLOWUP_MODE=test
FOLLOWUP_SECRET_KEYS={secret_key}
# Hashes the addresses of people who want no mail. It must never change.
FOLLOWUP_SUPPRESSION_KEY={suppression_key}
"""

GITIGNORE = """\
.env
outbox/
rehearsal/
*.eml
*.db
*.db-*
*.csv
*.pem
"""

PROCFILE = """\
release: followup release
web: followup web
worker: followup worker
"""

README = """\
# Follow-up

This folder holds what your shop asks its customers after they buy, and nothing else. It is text: keep it
in version control.

    workflows/*.yaml           who is asked what, and when
    workflows/people.yaml      who asks: real people, who read the answers
    workflows/shop.yaml        the shop's name, address and time zone
    templates/*.md             the letters
    templates/_samples/*.yaml  customers made up to try things with
    .env                       settings and secrets of this machine; never in version control
    Procfile                   the processes, for platforms that read it

## First steps

The workflows are those of a small forge. Make them yours, beginning with `people.yaml` and `shop.yaml`. Then:

    followup simulate arrived                             what a workflow would do; --paths: every way it can end
    followup apply                                        check the files and make them what runs
    followup import orders orders.csv                     bring your orders in; nobody is written to yet
    followup workflows list                               what runs
    followup trigger first-weeks --since 2026-03-01 --dry-run
    followup worker                                       do what falls due; letters are written to outbox/
    followup status
    followup customers show EMAIL                         one customer's whole story
    followup why ORDER (or EMAIL)                         why a letter came, or did not

In test mode nothing reaches a stranger. `followup config` shows every setting, `followup -h` every command.
"""


def shop_folder(name: str) -> Path:
    """Return where the shop's *name* (workflows or templates) lies: in the wheel, or in a checkout."""
    packaged = PACKAGE / "starter" / name
    return packaged if packaged.is_dir() else PACKAGE.parent / name


def sample_shop() -> Shop:
    """Return the shop that comes with followup, whatever a fork has made of ``workflows/shop.yaml``."""
    shop = read_shop((DEMO / "shop.yaml").read_text(encoding="utf-8"), Report(SHOP))
    assert shop is not None, "a test reads it"
    return shop


def typical_sample() -> Sample:
    """Return the sample customer that comes with followup, for a project that has none."""
    text = (shop_folder("templates") / "_samples" / "typical.yaml").read_text(encoding="utf-8")
    sample = read_sample("typical", text, Report("templates/_samples/typical.yaml", "T"))
    assert sample is not None, "a test reads it"
    return sample


def make_project(folder: Path) -> list[Path]:
    """
    Fill *folder* with workflows, letters, people, settings and a README; return the files made.

    A README that is there stays; a ``.gitignore`` gets the lines that keep secrets out.

    Raises:
        UsageError: there is a project already (nothing was written), or the folder cannot be written.
    """
    for name in (*FOLDERS, ".env", "Procfile"):
        if (folder / name).exists():
            raise UsageError(f"{folder / name} exists already", hint="Name a new folder: followup init my-shop")
    files = _files()
    try:
        if (folder / "README.md").exists():
            del files["README.md"]
        if (folder / ".gitignore").exists():
            files[".gitignore"] = (folder / ".gitignore").read_bytes().rstrip() + b"\n" + files[".gitignore"]
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600 if name == ".env" else 0o666)  # before a secret is in it
            path.write_bytes(content)
    except OSError as error:
        raise UsageError(f"{error.filename or folder} cannot be written: {error.strerror}") from error
    return [folder / name for name in files]


def _files() -> dict[str, bytes]:
    """Return the files of a project, by path."""
    env = ENV.format(secret_key=secrets.token_hex(32), suppression_key=secrets.token_hex(32))
    own = {".env": env, ".gitignore": GITIGNORE, "Procfile": PROCFILE, "README.md": README}
    files = {name: text.encode() for name, text in own.items()}
    for name in FOLDERS:
        source = shop_folder(name)
        paths = (path for path in sorted(source.rglob("*")) if path.is_file())
        files |= {f"{name}/{path.relative_to(source).as_posix()}": path.read_bytes() for path in paths}
    return files
