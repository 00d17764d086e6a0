"""A project whose letters ask, thank, sell and want reviews, for workflows that mean something, or nothing."""

from collections.abc import Mapping

from tests.authoring.project import PEOPLE, SHOP


def _letter(question: str, **front: str) -> str:
    lines = "".join(f"{key}: {value}\n" for key, value in {"subject": "Hello", **front}.items())
    asked = f"question:\n  ask: How is it?\n  {question}\n" if question else ""
    places = "{{ answers }}\n" if "answers:" in question or "scale:" in question else ""
    return f"---\n{lines}{asked}---\nHello.\n\n{places}"


LETTERS: Mapping[str, str] = {
    "arrived": _letter(
        "answers: {all-good: 'Yes, all good', not-opened: {label: Not opened yet, negative: false}, "
        "problem: Something is wrong}"
    ),
    "arrived.de": _letter(
        "answers: {all-good: 'Ja, alles gut', not-opened: {label: Noch zu, negative: false}, "
        "problem: {label: Etwas stimmt nicht, negative: true}}"
    ),
    "score": _letter("scale: 1-5"),
    "what-for": _letter("open: true"),
    "fit": _letter("answers: {well: It fits well, tight: A little tight}"),
    "passt": _letter("answers: {gut: Ganz gut, eng: Etwas eng}", language="de"),
    "whole": _letter(
        "answers: {fine: No problem at all, broken: {label: It is broken, negative: false}, "
        "gone: {label: Parts are missing, negative: false}}"
    ).replace("No problem at all", "{label: No problem at all, negative: false}"),
    "thanks": _letter("", purpose="service"),
    "offer": _letter("", purpose="marketing"),
    "review": _letter("", asks_for="review"),
}
_OTHER = """\
workflow: {name}
title: T
status: live
owner: mara
sender: mara
trigger: {{event: {trigger}}}
steps:
{steps}
"""
OTHERS: Mapping[str, str] = {
    "other": _OTHER.format(name="other", trigger="order.placed", steps="  - send: review\n  - handoff: mara"),
    "hands-off": _OTHER.format(name="hands-off", trigger="order.placed", steps="  - send: offer"),
    "asks-by-hand": _OTHER.format(name="asks-by-hand", trigger="manual", steps="  - send: review"),
}
FILES: Mapping[str, str] = {
    "workflows/people.yaml": PEOPLE,
    "workflows/shop.yaml": SHOP,
    **{f"templates/{name}.md": text for name, text in LETTERS.items()},
    **{f"workflows/{name}.yaml": text for name, text in OTHERS.items()},
}
