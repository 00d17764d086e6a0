"""A workflow as an SVG document. Whether it looks well is for tests/browser."""

import re
from xml.etree import ElementTree

import pytest

from followup.authoring.drawing.layout import Box, laid_out
from followup.authoring.drawing.picture import Picture
from followup.authoring.drawing.svg import as_svg
from tests.authoring.drawing.pictures import EMPTY, HOSTILE, ORDINARY, PICTURES
from tests.core.make import a_workflow, send, stop

SVG = "{http://www.w3.org/2000/svg}"
pictures = pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)


@pictures
def test_a_picture_is_a_sound_document_that_needs_nothing_else(picture: Picture) -> None:
    text = as_svg(picture)
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert {one.tag.removeprefix(SVG) for one in root.iter()} <= {
        *("svg", "title", "desc", "style", "defs", "marker", "path", "g", "rect", "text")
    }
    assert not re.search(r"url\((?!#)|@import|href|src=", root.findtext(f"{SVG}style") or "")
    assert not any(name.startswith("on") or "href" in name for one in root.iter() for name in one.attrib)


@pictures
def test_boxes_lie_apart_and_within_the_picture(picture: Picture) -> None:
    block = laid_out(picture)
    boxes = [shape for shape in block.shapes if isinstance(shape, Box)]
    for box in boxes:
        assert -block.left - 0.01 <= box.x
        assert box.x + box.width <= block.right + 0.01
        assert box.y >= 0
        assert box.y + box.height <= block.height + 0.01
    for number, one in enumerate(boxes):
        for other in boxes[:number]:
            beside = one.x + one.width <= other.x or other.x + other.width <= one.x
            assert beside or one.y + one.height <= other.y or other.y + other.height <= one.y


def test_it_has_a_title_and_says_in_words_what_it_shows() -> None:
    root = ElementTree.fromstring(as_svg(ORDINARY))
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-labelledby"] == "title desc"
    assert root.findtext(f"{SVG}title") == "check-in: Did it arrive well?"
    told = root.findtext(f"{SVG}desc") or ""
    assert told.startswith("Begins with order.delivered, per order (live). wait 2 business days (3 inside). ask arr")
    assert "when no_reply: wait 30 days, then until 10:00 (1 inside). send still-there. none of these: go on." in told
    assert told.endswith("2 at old-step, a step of an earlier version. 4 held out, and only measured.")


def words(picture: Picture) -> list[str]:
    """Return the texts of the boxes, each on one line."""
    boxes = [shape for shape in laid_out(picture).shapes if isinstance(shape, Box)]
    return ["".join(box.lines) if " " not in "".join(box.lines) else " ".join(box.lines) for box in boxes]


def test_every_step_and_every_way_has_a_box() -> None:
    assert words(ORDINARY) == [
        "order.delivered, per order (live)",
        "wait 2 business days",
        "ask arrived-well, up to 5 days, reminded after 2 days",
        "branch",
        'when answer == "bad" and (order.total >= 120 or customer.order_count > 3) and reply.text is not none',
        "handoff to maria (urgent)",
        "stop: a person took over",
        "when no_reply",
        "wait 30 days, then until 10:00",
        "send still-there",
        "none of these",
        "split subject",
        "short: 75%, weight 3",
        "send thanks",
        "none: 25%, weight 1",
        "remember customer.use_case = {{reply.text}}",
        "end",
    ]
    assert words(EMPTY)[1:4] == ["split nothing", "a: 50%, weight 1", "b: 50%, weight 1"]


def test_people_are_where_they_stand() -> None:
    boxes = [shape for shape in laid_out(ORDINARY).shapes if isinstance(shape, Box) and shape.people]
    assert [(box.lines[0], box.people) for box in boxes] == [
        ("wait 2 business days", 3),
        ("ask arrived-well, up", 1234),
        ("wait 30 days,", 1),
    ]
    assert "1,234</text>" in as_svg(ORDINARY)
    assert "1,234,567</text>" in as_svg(HOSTILE)


def test_after_a_stop_nothing_goes_on() -> None:
    assert words(Picture(workflow=a_workflow(send("a"), stop("done")))) == [
        "order.delivered, per order (live)",
        "send a",
        "stop: done",
    ]
