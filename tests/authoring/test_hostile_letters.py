"""Letters that would harm: every known attack is refused when the file is read, or bounded when it is rendered."""

import random
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError

from followup.authoring.bundle import BundleError
from followup.authoring.render import Links, RenderError
from followup.authoring.sandbox import ENVIRONMENT, LONGEST_OUTPUT, LetterError
from tests.authoring.project import HEAD, body_of, names, project, render


@pytest.mark.parametrize(
    "attack",
    [
        "{% for a in range(999999999) %}x{% endfor %}",
        "{{ 'a' * 1000000000 }}",
        "{{ [1] * 1000000000 }}",
        "{{ 'a' | center(1000000000) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:>1000000000}'.format(1) }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ lipsum(100000) }}",
        "{{ 9 ** 999999999 }}",
        "{{ 'a' ~ 'b' }}",
        "{{ 'a' + 'b' }}",
        "{{ [1] + [2] }}",
        "{{ 7 // 0 }}",
        "{{ 7 / 0 }}",
        "{{ 7 % 0 }}",
        "{{ 1e999 }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ order['__class__'] }}",
        "{{ order | attr('__class__') }}",
        "{{ order.items.append(1) }}",
        "{{ order.delete() }}",
        "{{ customer.first_name.upper() }}",
        "{{ customer | xmlattr }}",
        "{{ item.name | urlize }}",
        "{{ item.name | replace('a', 'b') }}",
        "{{ item.name | indent(1000000000) }}",
        "{{ order.items | map(attribute='name') | list }}",
        "{{ order.items | batch(2) }}",
        "{{ order.items | slice(2) }}",
        "{{ order.items | join(attribute='__class__') }}",
        "{{ item.name | safe }}",
        "{{ item.name | _html }}",
        "{{ _signature_html }}",
        "{{ _answers }}",
        "{{ self }}",
        "{{ loop }}",
        "{{ cycler('a') }}",
        "{{ namespace() }}",
        "{{ joiner() }}",
        "{% set a = [1] %}",
        "{% set a %}x{% endset %}",
        "{% set order.x = 1 %}",
        "{% macro m() %}{{ m() }}{% endmacro %}",
        "{% call m() %}{% endcall %}",
        "{% filter upper %}x{% endfilter %}",
        "{% extends 'x' %}",
        "{% block b %}{% endblock %}",
        "{% import 'x' as x %}",
        "{% from 'x' import x %}",
        "{% include 'x' %}",
        "{% include '_parts/../people.md' %}",
        "{% include '_parts/bye.md' ignore missing %}",
        "{% include ['_parts/bye.md'] %}",
        "{% with a = 1 %}{% endwith %}",
        "{% autoescape false %}{{ item.name }}{% endautoescape %}",
        "{% raw %}{{ x }}{% endraw %}",
        "{% for a in order.items recursive %}{{ loop(a) }}{% endfor %}",
        "{% for a in order.items %}{{ loop.cycle('a') }}{% endfor %}",
        "{% for a in order.items %}{{ loop.changed(a) }}{% endfor %}",
        "{% for a, b in order.items %}{% endfor %}",
        "{% for a in order.items %}{% for b in order.items %}{% for c in order.items %}x"
        "{% endfor %}{% endfor %}{% endfor %}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ " + "not " * 5000 + "1 }}",
        "{{ item.name" + " | lower" * 5000 + " }}",
        "{{ item" + ".a" * 5000 + " }}",
        "{{ " + "item.name and " * 5000 + "1 }}",
        "{{ " + "9" * 5000 + " }}",
        "{% if replied %}" * 500 + "{% endif %}" * 500,
        "{% if replied %}" + "{% elif replied %}" * 4000 + "{% endif %}",
        "{{ item.name }}" * 6000,
        "x" * 100_001,
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](data:text/html,x)",
        "![x](file:///etc/passwd)",
        "[x](https://{{ customer.first_name }}/)",
        "[x](https://shop.example{{ customer.first_name }}/)",
        "[x]({{ shop.url }}{{ customer.first_name }})",
        "[x](https://user@{{ customer.first_name }})",
        "[x](https://shop.example/{% if replied %}a{% endif %})",
        "[x]({{ signature }})",
        "a\x01{ order }\x01b",
        "a\x00b",
        "\ufeffx",
    ],
    ids=lambda attack: attack[:40],
)
def test_an_attack_is_refused_when_the_letter_is_read(attack: str) -> None:
    with pytest.raises(BundleError) as raised:
        project(tried=HEAD + attack)
    assert {d.path for d in raised.value.diagnostics} == {"templates/tried.md"}


@pytest.mark.parametrize(
    "attack",
    [
        "{{ x.__class__ }}",
        "{{ x.upper() }}",
        "{{ n * 9 }}",
        "{{ n ** 9 }}",
        "{{ x + x }}",
        "{{ x['a'].b }}",
        "{{ range(9) }}",
    ],
)
def test_the_second_lock_holds_without_the_first(attack: str) -> None:
    source = attack.replace("{{", "\x01{").replace("}}", "}\x01")
    template = ENVIRONMENT.from_string(source)
    with pytest.raises((LetterError, UndefinedError)):
        template.render(x="text", n=3)


def test_a_letter_that_grows_too_long_is_stopped_on_the_way() -> None:
    known = names()
    known["order"] = {"items": [{"name": "x" * 100} for _ in range(3000)]}
    body = "{% for a in order.items %}{% for b in order.items %}{{ b.name }}{% endfor %}{% endfor %}"
    with pytest.raises(RenderError, match=f"grows beyond {LONGEST_OUTPUT:,} characters"):
        render(body, known=known)


@pytest.mark.parametrize(
    "flood",
    [
        "[" * 99_000,
        "*a " * 33_000,
        "> " * 45_000,
        "- " * 45_000,
        "`" * 99_000,
        "![[" * 30_000,
        "<" * 99_000,
        "\n\n- a" * 19_000,
        "_*" * 49_000,
        "[a](<" * 19_000,
        "\\" * 99_000,
        "[a]: https://a.example\n" * 4000,
    ],
    ids=lambda flood: flood[:6],
)
def test_floods_of_markdown_come_to_an_end(flood: str) -> None:
    try:
        render(flood)
    except (BundleError, RenderError) as error:
        assert str(error)  # noqa: PT017


def _balanced(html: str) -> None:
    class Balance(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in {"br", "hr", "img", "meta"}:
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open
            assert self.open.pop() == tag

    balance = Balance()
    balance.feed(html)
    balance.close()
    assert not balance.open


WORDS = ["{{ item.name }}", "{{ question }}", "{{ answers }}", "{{ signature }}", "- ", "1. ", "> ", "\n", "\n\n", "  "]
WORDS += ["    ", "**", "*", "`", "[a](https://x.example/{{ item.name }})", "[", "](", "text", "# ", "```\n", "---\n"]
WORDS += ["<b>", "&amp;", "\\", "![", "]"]


def _soup(dice: random.Random, depth: int = 0) -> str:
    """Return Markdown and Jinja in a random order, with statements that are closed but stand anywhere."""
    out = ""
    for _ in range(dice.randint(1, 4)):
        kind = dice.random()
        brk = [dice.choice(["", "\n"]) for _ in range(4)]
        if kind < 0.25 and depth < 2:
            inner = _soup(dice, depth + 1)
            out += f"{{% for i in order.items %}}{brk[0]}{inner}{brk[1]}{{% endfor %}}{brk[2]}"
        elif kind < 0.5:
            name = dice.choice(["replied", "item.name"])
            other = dice.choice(["", "{% else %}", "\n{% else %}\n"])
            inner = _soup(dice, depth + 1) if depth < 3 else "x"
            out += f"{{% if {name} %}}{brk[0]}{inner}{brk[1]}{other}{{% endif %}}{brk[2]}"
        else:
            out += dice.choice(WORDS)
    return out


@settings(deadline=None)
@given(st.randoms(use_true_random=False))
def test_whatever_is_accepted_comes_out_as_sound_html(dice: random.Random) -> None:
    try:
        letter = render(_soup(dice))
    except BundleError:
        return
    _balanced(letter.html)
    assert "{%" not in letter.html + letter.text
    assert not re.search(r"q[0-9a-f]{9}[ib][0-9]+z|\bq[ib][0-9]+z", letter.html + letter.text)


LETTER = project(
    tried=HEAD + "Hi **{{ customer.first_name }}**, [x](https://shop.example/?n={{ customer.first_name }})"
)


@given(st.text(min_size=1))
def test_any_first_name_appears_literally_and_never_makes_a_tag(name: str) -> None:
    links = Links(answers={"good": "https://f.example/g", "bad": "https://f.example/b"}, stop="https://f.example/s")
    letter, person = LETTER.letter("tried"), LETTER.people["mara"]
    plain = letter.render(names(first_name="Ana"), person=person, links=links)
    tried = letter.render(names(first_name=name), person=person, links=links)
    shown = name if name.isprintable() else re.sub("[\x00-\x20\x7f-\x9f\u2028\u2029]+", " ", name)
    assert tried.text.startswith(f"Hi {shown}, ".lstrip("\n"))
    for start in ("<a ", "<b", "<script", "</", "<!"):
        assert tried.html.count(start) == plain.html.count(start)
    assert tried.subject == plain.subject


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_text_crashes_the_reader_of_letters(body: str) -> None:
    try:
        project(tried=HEAD + body)
    except BundleError as error:
        assert error.diagnostics  # noqa: PT017


@settings(deadline=None)
@given(st.text(alphabet="{}%#-+ \n\"'ab.|()[]<>*_`!\\&;:/=", max_size=50))
def test_no_soup_of_special_characters_crashes_the_reader_of_letters(body: str) -> None:
    try:
        body_of(render(body))
    except (BundleError, RenderError) as error:
        assert str(error)  # noqa: PT017
