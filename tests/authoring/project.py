"""A small project folder as text, and a customer's names, for the tests of authoring."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from followup.authoring.bundle import Bundle, load
from followup.authoring.render import Links, Rendered
from followup.core.facts import NAMES

PEOPLE = """\
mara:
  name: Mara Lindqvist
  email: mara@shop.example
  signature: |
    Mara <3
    Workshop, Lindqvist & Sons
jonas:
  name: Jonas Beck
  email: jonas@shop.example
  signature: Jonas
"""
SHOP = """\
name: Lindqvist & Sons
postal_address: |
  Hafenstr. 4
  20457 Hamburg
url: https://shop.example
timezone: Europe/Berlin
"""
GOOD_LETTER = """\
---
subject: Did your {{ item.name }} arrive?
preheader: One tap is enough.
purpose: service
question:
  ask: Is the {{ item.name }} in one piece?
  answers:
    all-good: Yes, all good
    problem: Something is wrong
---
Hi {{ customer.first_name | default("there") }},

{{ question }}

{{ answers }}

{{ signature }}
"""
PLAIN_LETTER = "---\nsubject: Thanks\n---\nThank you!\n\n{{ signature }}\n"
OTHER_ANSWERS = "---\nsubject: x\nquestion:\n  ask: How?\n  answers: {all-good: Fine, meh: Meh}\n---\n{{ answers }}\n"
FILES: Mapping[str, str] = {
    "workflows/people.yaml": PEOPLE,
    "workflows/shop.yaml": SHOP,
    "templates/good-letter.md": GOOD_LETTER,
    "templates/plain-letter.md": PLAIN_LETTER,
    "templates/other-answers.md": OTHER_ANSWERS,
    "templates/_parts/bye.md": "See you, {{ customer.first_name | default('friend') }}.\n",
}
HEAD = "---\nsubject: Hello\nquestion:\n  ask: How is it?\n  answers: {good: Good, bad: Bad}\n---\n"


def workflow(steps: str, *, name: str = "check-in", more: str = "", status: str = "live") -> str:
    """Return a workflow file with these *steps* (lines of YAML)."""
    return (
        f"workflow: {name}\ntitle: Check in\nstatus: {status}\nowner: mara\nsender: mara\n"
        f"trigger:\n  event: order.delivered\n{more}steps:\n{steps}"
    )


def project(**changes: str) -> Bundle:
    """Return the project as a bundle; *changes* adds letters, by their names with ``_`` for ``-``."""
    return load({**FILES, **{f"templates/{name.replace('_', '-')}.md": text for name, text in changes.items()}})


def names(**customer: object) -> dict[str, object]:
    """Return the names of a customer with one delivered order of two items."""
    salt = {"name": "Salt & pepper set", "quantity": 1, "price": Decimal("12.50")}
    mill = {"name": "Mill", "quantity": 2, "price": Decimal("1234.50"), "url": "https://shop.example/mill"}
    fields = NAMES["order"]
    assert isinstance(fields, dict)
    order = dict.fromkeys(fields) | {
        "number": "1001",
        "delivered_at": datetime(2026, 3, 14, 23, 30, tzinfo=UTC),  # the 15th in Berlin
        "total": Decimal("1259.00"),
        "currency": "EUR",
        "days_late": 2,
        "is_gift": False,
        "categories": ["kitchen", "gifts"],
        "items": [salt, mill],
        "status": "delivered",
    }
    return {
        "customer": {"first_name": None, "email": "ana@example.org", "order_count": 1, "tags": [], **customer},
        "order": order,
        "item": salt,
        "answer": None,
        "answer_label": None,
        "reply": {"text": None},
        "replied": False,
        "no_reply": False,
        "not_asked": None,
        "asks": {},
        "answers": {"arrived-ok": "all-good"},
        "last_reply": None,
        "today": date(2026, 3, 16),
        "shop": {
            "name": "Lindqvist & Sons",
            "url": "https://shop.example",
            "postal_address": "Hafenstr. 4\n20457 Hamburg",
        },
        "_zone": ZoneInfo("Europe/Berlin"),
    }


def render(body: str, *, head: str = HEAD, known: Mapping[str, object] | None = None, language: str = "en") -> Rendered:
    """Return a letter with this *body*, rendered for the customer of *known*."""
    bundle = project(tried=head.replace("---\n", f"---\nlanguage: {language}\n", 1) + body)
    letter = bundle.letter("tried")
    choices = letter.question.choices if letter.question else ()
    links = Links(
        answers={choice.id: f"https://f.example/a/{choice.id}?t=1&u=2" for choice in choices},
        stop="https://f.example/stop?t=1&u=2",
    )
    return letter.render(known or names(), person=bundle.people["mara"], links=links)


def body_of(rendered: Rendered) -> str:
    """Return the plain text without the footer."""
    return rendered.text.split("\n--\n")[0].strip("\n")


def html_body(rendered: Rendered) -> str:
    """Return the letter's own HTML without the layout, styles and line breaks."""
    inside = rendered.html.split('class="letter"', 1)[1].split(">", 1)[1].split('<div class="footer"')[0]
    return re.sub(r"\n+", "", re.sub(r' style="[^"]*"', "", inside)).strip()
