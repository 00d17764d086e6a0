"""What the customers of an orders file do, made up from the files alone: the same every time."""

import hashlib
from collections.abc import Iterable
from datetime import date, timedelta

from followup.authoring.acts_file import Act
from followup.authoring.bundle import Bundle
from followup.core.order import Purchase

WORDS = (
    "Lovely, thank you!",
    "The lid is cracked. What now?",
    "We cook in it every day. One question: may it go into the oven?",
    "It came a week late, but it is what I wanted.",
)
AWAY = """\
Subject: Out of office
Auto-Submitted: auto-replied

I am away and back on {back:%Y-%m-%d}.
"""
REPLY = """\
Subject: Re: your question

{words}
"""


def acts_for(purchases: Iterable[Purchase], bundle: Bundle) -> list[Act]:
    """
    Return acts about every letter that asks: four in ten click, a quarter writes and is answered a day
    later, one in twenty is away, the others stay silent.

    Nothing happens at the moment of anything else: each act comes after an odd number of seconds.
    """
    acts = []
    asking = sorted(name for name in bundle.defaults if bundle.letter(name, None).question)
    for order in sorted({purchase.order.number for purchase in purchases}):
        for letter in asking:
            acts += _acts(order, letter, bundle)
    return acts


def _acts(order: str, letter: str, bundle: Bundle) -> list[Act]:
    dice = hashlib.sha256(f"{order}/{letter}".encode()).digest()
    question = bundle.letter(letter, None).question
    assert question is not None
    after = timedelta(seconds=601 + int.from_bytes(dice[1:4]) % 200_003)
    key = f"{order}/{letter}"
    if dice[0] < 102 and question.choices:
        choice = question.choices[dice[4] % len(question.choices)]
        return [Act(key=key, order=order, letter=letter, after=after, answers=choice.id)]
    if dice[0] < 166:
        mail = REPLY.format(words=WORDS[dice[4] % len(WORDS)]).encode()
        day_later = after + timedelta(days=1, seconds=7)
        return [
            Act(key=key, order=order, letter=letter, after=after, replies=mail),
            Act(key=f"{key}/closed", order=order, letter=letter, after=day_later, closes=True),
        ]
    if dice[0] < 179:
        return [Act(key=key, order=order, letter=letter, after=timedelta(seconds=67), replies=_away(dice))]
    return []


def _away(dice: bytes) -> bytes:
    return AWAY.format(back=date(2025, 1, 1) + timedelta(days=dice[5])).encode()
