"""Workflows to draw: an ordinary one, and one that does its best not to be drawn well."""

from datetime import time

from followup.authoring.drawing.picture import Picture
from followup.core.schedule import Duration
from followup.core.workflow import Condition, Text
from tests.core.make import (
    a_workflow,
    ask,
    branch,
    case,
    days,
    hand_off,
    otherwise,
    remember,
    send,
    split,
    start,
    stop,
    text_of,
    variant,
    wait,
    wait_for,
)


def when(source: str) -> Condition:
    return Condition(source, lambda _: True)


ORDINARY = Picture(
    workflow=a_workflow(
        wait("wait-1", Duration(business_days=2)),
        ask("arrived-well", remind_after=days(2)),
        branch(
            "branch-1",
            case(
                when('answer == "bad" and (order.total >= 120 or customer.order_count > 3) and reply.text is not none'),
                hand_off("handoff-1", "maria", urgent=True),
                stop("a person took over"),
            ),
            case(when("no_reply"), wait("wait-2", days(30), until=time(10)), send("still-there")),
        ),
        split("subject", variant("short", 3, send("thanks")), variant("none", 1)),
        remember("remember-1", use_case=text_of("reply.text")),
    ),
    people={"wait-1": 3, "arrived-well": 1234, "wait-2": 1, "old-step": 2},
    held_out=4,
)

HOSTILE_TEXTS = [
    'a "quoted" one',
    "<b>bold</b> & <script>alert(1)</script>",
    "#quot; &amp; #35;",
    "`code` *x* _y_ __z__ $$z$$",
    '%%{init: {"theme": "dark"}}%%',
    "x[y]{z}(w)|v| --> B; click A; end",
    "two\nlines\r\nand\ttabs",
    "\u202eright to left\u202c \x1b[31mred\x00",
    "הזמנה של דנה ابن سينا",
    "名前はとても長いです" * 3,
    "Donaudampfschifffahrtsgesellschaftskapitänswitwenrentenauszahlungsstelle",
    "family 👨\u200d👩 \ufdfd \uffff \ud800",
    "1. one",
    "W" * 60,
]
HOSTILE = Picture(
    workflow=a_workflow(
        *(send(f"send-{number}", letter=text, when=when(text)) for number, text in enumerate(HOSTILE_TEXTS)),
        branch(
            "branch-1",
            *(case(when(text), stop(text, id=f"stop-{n}")) for n, text in enumerate(HOSTILE_TEXTS[:4])),
            otherwise(hand_off("h", HOSTILE_TEXTS[1], note=Text(HOSTILE_TEXTS[0], lambda _: ""))),
        ),
        title=" ".join(HOSTILE_TEXTS),
        learn=HOSTILE_TEXTS[1] * 9,
    ),
    people={"send-1": 1_234_567, "stop-1": 1, HOSTILE_TEXTS[1]: 7},
)


def nested(depth: int) -> Picture:
    """Return a workflow with branches within each other, as deep as files may have them."""
    steps = [send("last", when=when("customer.first_name is not none and order.total > 100"))]
    for level in range(depth):
        inner = [wait(f"wait-{level}", days(level + 1)), *steps]
        steps = [
            branch(f"branch-{level}", case(when(f"order.total > {level}"), *inner), otherwise(stop(f"no {level}")))
        ]
    return Picture(workflow=a_workflow(*steps), people={"last": 12})


EMPTY = Picture(
    workflow=a_workflow(split("nothing", variant("a", 1), variant("b", 1)), start("go-on", "other"), name="empty")
)
AWAITING = Picture(
    workflow=a_workflow(
        wait_for("placed", "order.placed", where=when("event.order.total > 20")),
        wait("renewal", until_field="customer.renewal_on"),
        send("offer", ignore_send_window="they asked for it"),
    )
)
PICTURES = {
    "ordinary": ORDINARY,
    "hostile": HOSTILE,
    "deep": nested(8),
    "empty": EMPTY,
    "awaiting": AWAITING,
}
