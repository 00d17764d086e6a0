"""A workflow as a Mermaid flowchart. What real Mermaid (11.17) makes of these labels was looked at once."""

import json
import re

import pytest

from followup.authoring.drawing.mermaid import as_mermaid
from followup.authoring.drawing.picture import Picture
from tests.authoring.drawing.pictures import EMPTY, HOSTILE, HOSTILE_TEXTS, ORDINARY, PICTURES
from tests.core.make import a_workflow, send, stop

CONDITION = (
    "when answer == #quot;bad#quot; and<br/>(order.total #gt;= 120 or<br/>customer.order_count #gt; 3) and<br/>"
    "reply.text is not none"
)
LABEL = r'"(?:[^"<>`;]|#\w+;|<br/>)*"'
NODE = re.compile(rf"    (\w+)(\(\[{LABEL}\]\)|\({LABEL}\)|\[{LABEL}\]|\{{\{{{LABEL}\}}\}}|\{{{LABEL}\}})(:::\w+)?")
ARROW = re.compile(rf"    (\w+) -->(\|{LABEL}\|)? (\w+)")
STYLE = re.compile(r"    classDef \w+ [\w:-]+")


def test_a_workflow_becomes_boxes_and_arrows() -> None:
    assert (
        as_mermaid(ORDINARY)
        == """\
---
title: "check-in: Did it arrive well?"
---
flowchart TD
    begin(["order.delivered, per order (live)"])
    step1("wait 2 business days<br/>3 inside")
    step2["ask arrived-well, up to 5 days,<br/>reminded after 2 days<br/>1,234 inside"]:::letter
    step3{"branch"}
    step4["handoff to maria (urgent)"]
    step5(["stop: a person took over"])
    step6("wait 30 days, then until 10:00<br/>1 inside")
    step7["send still-there"]:::letter
    step8{{"split subject"}}
    step9["send thanks"]:::letter
    step10["remember customer.use_case =<br/>#123;#123;reply.text#125;#125;"]
    finish(["end"])
    beside0["2 at old-step, a step of an earlier<br/>version"]:::beside
    beside1["4 held out, and only measured"]:::beside
    begin --> step1
    step1 --> step2
    step2 --> step3
    step3 -->|"CONDITION"| step4
    step4 --> step5
    step3 -->|"when no_reply"| step6
    step6 --> step7
    step7 --> step8
    step3 -->|"none of these"| step8
    step8 -->|"short: 75%, weight 3"| step9
    step9 --> step10
    step8 -->|"none: 25%, weight 1"| step10
    step10 --> finish
    classDef letter stroke-width:3px
    classDef beside stroke-dasharray:4
""".replace("%", "#37;").replace("CONDITION", CONDITION)
    )


@pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)
def test_every_line_is_a_box_an_arrow_or_a_style(picture: Picture) -> None:
    head, title, end, kind, *lines, last = as_mermaid(picture).split("\n")
    assert (head, title[:7], end, kind, last) == ("---", "title: ", "---", "flowchart TD", "")
    boxes = [found[1] for line in lines if (found := NODE.fullmatch(line))]
    arrows = [(found[1], found[3]) for line in lines if (found := ARROW.fullmatch(line))]
    assert len(boxes) + len(arrows) + sum(bool(STYLE.fullmatch(line)) for line in lines) == len(lines)
    assert len(set(boxes)) == len(boxes)
    assert {name for arrow in arrows for name in arrow} == {name for name in boxes if not name.startswith("beside")}


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
def test_a_hostile_text_means_nothing_to_mermaid(text: str) -> None:
    chart = as_mermaid(Picture(workflow=a_workflow(stop(text), title=text)))
    label = chart.split('step1(["')[1].split('"])')[0]
    bare = re.sub(r"#(quot|lt|gt|amp|\d+);|<br/>", "", label)
    assert not re.search(r"[\"<>&#;`*{}\[\]|%$\\\n\x00-\x1f\u202a-\u202e]", bare)
    (title,) = re.findall(r"^title: (.*)$", chart, re.MULTILINE)
    assert not re.search(r"[%{}<>#;]", title)
    assert isinstance(json.loads(title), str)


def test_what_markdown_takes_for_a_list_is_none() -> None:
    chart = as_mermaid(Picture(workflow=a_workflow(stop("this is told at some length: 1. one and - two"))))
    assert "<br/>1. " not in chart
    assert "<br/>- " not in chart


def test_a_variant_in_which_nothing_happens_leads_on() -> None:
    chart = as_mermaid(EMPTY)
    assert chart.count('step1 -->|"a: 50#37;, weight 1"| step2') == 1
    assert chart.count('step1 -->|"b: 50#37;, weight 1"| step2') == 1


def test_a_run_that_always_stops_has_no_other_end() -> None:
    assert "finish" not in as_mermaid(Picture(workflow=a_workflow(send("a"), stop("done"))))
    assert "1,234,567 inside" in as_mermaid(HOSTILE)
