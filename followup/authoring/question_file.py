"""The question of a letter: what it asks, and the answers it offers."""

import re

from followup.authoring.diagnostics import Report
from followup.authoring.shapes import Fields, as_text
from followup.authoring.source import Entry, Scalar
from followup.authoring.source import Mapping as YamlMapping
from followup.core.replies import Choice, Question

LONGEST_LABEL = 80
LONGEST_SCALE = 11
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_SCALE = re.compile(r"([0-9]{1,2})\s*[-–]\s*([0-9]{1,2})")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
# An answer that has one of these words in its id or label is taken as negative, unless it says
# "negative: false". Plain English on purpose: other languages flag their answers.
NEGATIVE_WORDS = frozenset(
    [
        "no",
        "not",
        "never",
        "nothing",
        "none",
        "problem",
        "problems",
        "wrong",
        "broken",
        "damaged",
        "missing",
        "late",
        "bad",
        "badly",
        "poor",
        "terrible",
        "awful",
        "unhappy",
        "disappointed",
        "disappointing",
        "unsatisfied",
        "dissatisfied",
        "worse",
        "worst",
        "fail",
        "failed",
        "fails",
        "faulty",
        "defective",
        "complaint",
        "complain",
        "angry",
        "annoyed",
        "unfortunately",
        "hardly",
        "don't",
        "didn't",
        "doesn't",
        "isn't",
        "wasn't",
        "can't",
        "couldn't",
        "won't",
        "haven't",
        "hasn't",
        "aren't",
        "cannot",
    ]
)


def read_question(fields: Fields) -> tuple[Question | None, Scalar | None]:
    """Return the question in the front matter and its wording as written, or report what is wrong with it."""
    mapping = fields.mapping("question")
    if mapping is None:
        return None, None
    inside = Fields(mapping, fields.report, '"question"', ("ask", "answers", "open", "scale"))
    inside.check("ask")
    text, ask = inside.text("ask"), inside.get("ask")
    kinds = [key for key in ("answers", "open", "scale") if key in mapping.entries]
    if len(kinds) != 1:
        message = "A question is either open or offers answers."
        spot = mapping.entries[kinds[1]].spot if kinds else mapping.spot
        fields.report.add(spot, "102" if not kinds else "103", message, "give it one of: answers, open: true, scale")
        return None, None
    choices = _choices(inside, kinds[0])
    if text is None or not isinstance(ask, Scalar):
        return None, None
    return Question(text, choices), ask


def _choices(fields: Fields, kind: str) -> tuple[Choice, ...]:
    if kind == "open":
        if fields.flag("open") is False:
            fields.report.add(fields.node.entries["open"].value.spot, "105", '"open" can only be true.')
        return ()
    if kind == "scale":
        return _scale(fields)
    mapping = fields.mapping("answers")
    if mapping is None:
        return ()
    read = [_choice(entry, fields.report) for entry in mapping.entries.values()]
    if not 2 <= len(read) <= 5:
        fields.report.add(mapping.spot, "105", f"A question offers 2 to 5 answers, this one has {len(read)}.")
    return tuple(choice for choice in read if choice)


def _choice(entry: Entry, report: Report) -> Choice | None:
    if not _ID.fullmatch(entry.key):
        help = 'use letters, digits, "-" and "_", at most 40; the label can say anything'
        report.add(entry.spot, "114", f'"{entry.key}" cannot be the id of an answer.', help)
        return None
    flag, node = None, entry.value
    if isinstance(node, YamlMapping):
        fields = Fields(node, report, "an answer", ("label", "negative"))
        fields.check("label")
        flag, label = fields.flag("negative"), fields.text("label", numbers=True)
        node = fields.get("label") or node
    else:
        label = as_text(node, report, "The label of an answer", numbers=True)
    if label is None:
        return None
    label = " ".join(label.split())
    if len(label) > LONGEST_LABEL or "{{" in label or "{%" in label:
        message = f"The label of an answer is plain text of at most {LONGEST_LABEL} characters."
        report.add(node.spot, "105", message)
        return None
    return Choice(entry.key, label, _sounds_negative(entry.key, label) if flag is None else flag)


def _sounds_negative(choice_id: str, label: str) -> bool:
    words = _WORD.findall(f"{choice_id.replace('_', ' ')} {label}".casefold().replace("’", "'"))
    return not NEGATIVE_WORDS.isdisjoint(words)


def _scale(fields: Fields) -> tuple[Choice, ...]:
    """Return the numbers of a scale like ``0-10``; those in its lower 40 % are negative."""
    text, node = fields.text("scale", numbers=True), fields.get("scale")
    if text is None or node is None:
        return ()
    found = _SCALE.fullmatch(text)
    low, high = (int(found[1]), int(found[2])) if found else (0, 0)
    if not low < high < low + LONGEST_SCALE or low > 1:
        fields.report.add(node.spot, "105", f"'{text}' is not a scale.", 'write for example "0-10" or "1-5"')
        return ()
    return tuple(Choice(str(n), str(n), n < low + (high - low) * 0.4) for n in range(low, high + 1))
