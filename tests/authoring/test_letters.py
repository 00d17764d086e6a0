"""Letters: both parts from one source, for real customers."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from followup.authoring.bundle import BundleError, load
from followup.authoring.render import Links, RenderError
from tests.authoring.project import FILES, GOOD_LETTER, HEAD, body_of, html_body, names, project, render

NASTY = "*Ana* [free](http://evil.example) <b>x</b>"


def test_a_letter_has_both_parts_and_everything_an_inbox_shows() -> None:
    letter = render(GOOD_LETTER.split("---\n", 2)[2], head="---\n" + GOOD_LETTER.split("---\n", 2)[1] + "---\n")
    assert letter.subject == "Did your Salt & pepper set arrive?"
    assert letter.preheader == "One tap is enough."
    assert letter.question == "Is the Salt & pepper set in one piece?"
    assert letter.text == (
        "Hi there,\n\n"
        "Is the Salt & pepper set in one piece?\n\n"
        "Yes, all good: https://f.example/a/all-good?t=1&u=2\n"
        "Something is wrong: https://f.example/a/problem?t=1&u=2\n\n"
        "Mara <3\nWorkshop, Lindqvist & Sons\n\n"
        "--\n"
        "You receive this letter because you ordered from Lindqvist & Sons.\n"
        "Lindqvist & Sons, Hafenstr. 4, 20457 Hamburg\n"
        "Stop these letters: https://f.example/stop?t=1&u=2\n"
    )
    assert html_body(letter) == (
        "<p>Hi there,</p>"
        '<p><span class="question">Is the Salt &amp; pepper set in one piece?</span></p>'
        '<div class="answers">'
        '<a class="answer" href="https://f.example/a/all-good?t=1&amp;u=2">Yes, all good</a>'
        '<a class="answer" href="https://f.example/a/problem?t=1&amp;u=2">Something is wrong</a>'
        "</div>"
        "<p>Mara &lt;3<br>Workshop, Lindqvist &amp; Sons</p>"
    )
    assert letter.html.startswith('<!DOCTYPE html><html lang="en">')
    assert "<title>Did your Salt &amp; pepper set arrive?</title>" in letter.html
    assert ">One tap is enough.</div>" in letter.html
    assert 'href="https://f.example/stop?t=1&amp;u=2"' in letter.html
    assert "Lindqvist &amp; Sons, Hafenstr. 4, 20457 Hamburg" in letter.html
    assert "@media (prefers-color-scheme: dark)" in letter.html
    assert '<a class="answer" href="https://f.example/a/problem?t=1&amp;u=2" style="' in letter.html


def test_a_name_that_looks_like_markdown_and_html_shows_literally_in_both_parts() -> None:
    letter = render("Hi **{{ customer.first_name }}**!", known=names(first_name=NASTY))
    assert body_of(letter) == f"Hi {NASTY}!"
    assert html_body(letter) == ("<p>Hi <strong>*Ana* [free](http://evil.example) &lt;b&gt;x&lt;/b&gt;</strong>!</p>")


def test_line_breaks_and_control_characters_in_data_collapse_to_one_space() -> None:
    letter = render("Hi {{ customer.first_name }}!", known=names(first_name="A\r\nBcc: x\u2028\x00\x85 B\tC\x02D"))
    assert body_of(letter) == "Hi A Bcc: x B C D!"


def test_a_subject_is_one_line_whatever_the_data_hold() -> None:
    head = '---\nsubject: "Your {{ item.name }}\\n now"\npreheader: "{{ order.note | default(item.name) }}"\n---\n'
    known = names()
    known["item"] = {"name": "A\r\nBcc: all@example.org\u2028B\x9f"}
    letter = render("x", head=head, known=known)
    assert letter.subject == "Your A Bcc: all@example.org B now"
    assert letter.preheader == "A Bcc: all@example.org B"


def test_an_empty_subject_is_an_error_at_send_time() -> None:
    with pytest.raises(RenderError, match="the subject comes out empty"):
        render("x", head='---\nsubject: "{% if replied %}x{% endif %}"\n---\n')


def test_text_that_looks_like_jinja_after_markdown_stays_text() -> None:
    letter = render("{\\{ order.secret }\\} &#123;&#123; x &#125;&#125; &#1;{ order }&#1; {\\% if %}")
    assert body_of(letter) == "{{ order.secret }} {{ x }} \ufffd{ order }\ufffd {% if %}"


def test_comments_are_left_out() -> None:
    assert body_of(render("a{# not for customers #}b")) == "ab"


@pytest.mark.parametrize(
    "body",
    [
        "{% for i in order.items %}\n- {{ i.name }}\n{% endfor %}",
        "{% for i in order.items %}- {{ i.name }}\n{% endfor %}",
        "{% for i in order.items %}\n\n- {{ i.name }}\n\n{% endfor %}",
        "{% for i in order.items -%}\n- {{ i.name }}\n{% endfor %}",
        "{% for i in order.items %}{% if i.quantity %}- {{ i.name }}\n{% endif %}{% endfor %}",
        "{% for i in order.items %}\n{% if replied %}\n- a\n{% else %}\n- {{ i.name }}\n{% endif %}\n{% endfor %}",
        "{% for i in order.items %}\n- {% if i.name %}{{ i.name }}{% endif %}\n{% endfor %}",
    ],
)
def test_a_loop_around_a_list_item_gives_one_list(body: str) -> None:
    letter = render(body)
    assert html_body(letter) == "<ul><li>Salt &amp; pepper set</li><li>Mill</li></ul>"
    assert body_of(letter) == "- Salt & pepper set\n- Mill"


def test_items_of_a_loop_join_the_list_they_stand_in() -> None:
    letter = render("Look:\n\n- first\n{% for i in order.items %}\n- {{ i.name }}\n{% endfor %}\n- last")
    assert html_body(letter) == (
        "<p>Look:</p><ul><li>first</li><li>Salt &amp; pepper set</li><li>Mill</li><li>last</li></ul>"
    )
    assert body_of(letter) == "Look:\n\n- first\n- Salt & pepper set\n- Mill\n- last"


def test_a_numbered_loop_counts_in_both_parts() -> None:
    letter = render("{% for i in order.items %}\n3. {{ i.name }}\n{% endfor %}\nEnd")
    assert html_body(letter) == '<ol start="3"><li>Salt &amp; pepper set</li><li>Mill</li></ol><p>End</p>'
    assert body_of(letter) == "3. Salt & pepper set\n4. Mill\n\nEnd"


def test_an_empty_loop_leaves_no_empty_list() -> None:
    known = names()
    known["order"] = {"items": []}
    letter = render("a\n\n{% for i in order.items %}\n- {{ i.name }}\n{% endfor %}\n\nb", known=known)
    assert html_body(letter) == "<p>a</p><p>b</p>"
    assert body_of(letter) == "a\n\nb"


def test_a_list_after_an_empty_loop_is_not_part_of_it() -> None:
    letter = render("{% for i in order.items %}\n\n{% endfor %}\n- x")
    assert html_body(letter) == "<ul><li>x</li></ul>"
    assert body_of(letter) == "- x"


@pytest.mark.parametrize(("replied", "item"), [(True, "a"), (False, "b")])
def test_each_side_of_an_if_can_be_a_list(replied: bool, item: str) -> None:
    body = "{% if replied %}\n- a\n{% else %}\n- b\n{% endif %}\n\nend"
    letter = render(body, known={**names(), "replied": replied})
    assert html_body(letter) == f"<ul><li>{item}</li></ul><p>end</p>"
    assert body_of(letter) == f"- {item}\n\nend"


def test_a_loop_within_an_item_is_a_list_of_its_own() -> None:
    letter = render("- a\n  {% for i in order.items %}\n  - {{ i.name }}\n  {% endfor %}\n- b")
    assert html_body(letter) == "<ul><li>a<ul><li>Salt &amp; pepper set</li><li>Mill</li></ul></li><li>b</li></ul>"
    assert body_of(letter) == "- a\n  - Salt & pepper set\n  - Mill\n- b"


def test_each_turn_of_a_loop_around_paragraphs_writes_them() -> None:
    letter = render("{% for i in order.items %}\n**{{ i.name }}**\n\n> {{ i.quantity }}\n{% endfor %}\nEnd")
    assert body_of(letter) == "Salt & pepper set\n\n> 1\n\nMill\n\n> 2\n\nEnd"


@pytest.mark.parametrize("replied", [True, False])
def test_parts_left_out_leave_no_gap(replied: bool) -> None:
    body = (
        "a\n\n{% if replied %}\nb\n\n- c\n{% else %}\n> d\n{% endif %}\n\n"
        "{% if replied %}e{% endif %}\n\n- f\n- {% if replied %}g{% endif %}\n\nh"
    )
    letter = render(body, known={**names(), "replied": replied})
    if replied:
        assert body_of(letter) == "a\n\nb\n\n- c\n\ne\n\n- f\n- g\n\nh"
        assert html_body(letter) == "<p>a</p><p>b</p><ul><li>c</li></ul><p>e</p><ul><li>f</li><li>g</li></ul><p>h</p>"
    else:
        assert body_of(letter) == "a\n\n> d\n\n- f\n\nh"
        assert html_body(letter) == "<p>a</p><blockquote><p>d</p></blockquote><ul><li>f</li></ul><p>h</p>"


def test_a_paragraph_that_comes_out_empty_leaves_no_gap_in_the_text() -> None:
    assert body_of(render("a\n\n{% if replied %}b{% else %}{% endif %}\n\nc")) == "a\n\nc"


def test_statements_inside_a_line_stay_inside() -> None:
    body = "Hi{% if customer.first_name %} *{{ customer.first_name }}*{% else %} there{% endif %},\nnext"
    assert html_body(render(body)) == "<p>Hi there,next</p>"
    assert body_of(render(body, known=names(first_name="Bo"))) == "Hi Bo, next"


def test_blocks_of_markdown_have_a_plain_form() -> None:
    body = (
        "# Title\n\nline one\\\nline two\nstill two\n\n1. one\n2. two\n\n   more\n\n---\n\n"
        "    code {{ item.name }}\n\n`x` ![a {{ item.name }}](https://shop.example/{{ item.name }}.png)"
    )
    assert body_of(render(body)) == (
        "Title\n\nline one\nline two still two\n\n1. one\n\n2. two\n\n   more\n\n* * *\n\n"
        "    code Salt & pepper set\n\nx a Salt & pepper set"
    )


def test_links_are_written_once_when_label_and_address_are_the_same() -> None:
    body = "<https://shop.example/a> [shop](https://shop.example) [{{ shop.url }}]({{ shop.url }}) <a@shop.example>"
    assert body_of(render(body)) == (
        "https://shop.example/a shop (https://shop.example) https://shop.example a@shop.example"
    )


def test_names_in_links_are_encoded() -> None:
    body = (
        "[a](https://shop.example/{{ customer.first_name }}?q={{ customer.first_name }})"
        "[b]({{ shop.url }}/x?q={{ customer.first_name }}) [c](mailto:{{ customer.first_name }})"
    )
    letter = render(body, known=names(first_name="a/b?c=d&e @\"'<>"))
    encoded = "a%2Fb%3Fc%3Dd%26e%20%40%22%27%3C%3E"
    assert f'href="https://shop.example/{encoded}?q={encoded}"' in letter.html
    assert f'href="https://shop.example/x?q={encoded}"' in letter.html
    assert 'href="mailto:a%2Fb%3Fc%3Dd%26e%20@%22%27%3C%3E"' in letter.html
    assert f"a (https://shop.example/{encoded}?q={encoded})" in letter.text


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        " javascript:alert(1)",
        "data:text/html,x",
        "//evil.example",
        "/x",
        "ftp://x",
        "https://",
        "https://a@b/",
    ],
)
def test_a_whole_link_from_data_must_lead_to_the_web_or_a_mailbox(url: str) -> None:
    known = names()
    known["item"] = {"name": "x", "url": url}
    with pytest.raises(RenderError, match="is not a link"):
        render("[see]({{ item.url }})", known=known)


@pytest.mark.parametrize("url", ["https://shop.example/a?b=c&d=é#f", "http://shop.example", "mailto:a@b.example"])
def test_a_whole_link_from_data_can_be_any_real_one(url: str) -> None:
    known = names()
    known["item"] = {"name": "x", "url": url}
    expected = url.replace("é", "%C3%A9")
    letter = render("[see]({{ item.url }})", known=known)
    assert f"see ({expected})" in letter.text
    assert f'href="{expected.replace("&", "&amp;")}"' in letter.html


def test_dates_are_those_of_the_customer_and_of_the_letters_language() -> None:
    body = (
        "|".join(f"{{{{ order.delivered_at | {how} }}}}" for how in ("weekday", "date", "time")) + "|{{ today | date }}"
    )
    expected = {
        "en": "Sunday|15 March 2026|00:30|16 March 2026",
        "en-US": "Sunday|March 15, 2026|12:30 am|March 16, 2026",
        "de-AT": "Sonntag|15. März 2026|00:30|16. März 2026",
        "fr": "dimanche|15 mars 2026|00:30|16 mars 2026",
        "es": "domingo|15 de marzo de 2026|00:30|16 de marzo de 2026",
        "it": "domenica|15 marzo 2026|00:30|16 marzo 2026",
        "nl": "zondag|15 maart 2026|00:30|16 maart 2026",
        "pt-BR": "domingo|15 de março de 2026|00:30|16 de março de 2026",
        "xx": "Sunday|15 March 2026|00:30|16 March 2026",
    }
    assert {language: body_of(render(body, language=language)) for language in expected} == expected


def test_a_moment_without_a_filter_is_a_plain_local_time() -> None:
    assert body_of(render("{{ order.delivered_at }} {{ today }}")) == "2026-03-15 00:30 2026-03-16"


def test_amounts_are_written_as_the_language_does() -> None:
    assert body_of(render("{{ order.total | money }}")) == "€1,259.00"
    assert body_of(render("{{ order.total | money('CHF') }}")) == "CHF\u00a01,259.00"
    assert body_of(render("{{ order.total | money }}", language="de")) == "1.259,00\u00a0€"
    assert body_of(render("{{ order.total | money }}", language="fr")) == "1\u202f259,00\u00a0€"
    assert body_of(render("{{ order.total | money('JPY') }}", language="nl")) == "¥\u00a01.259"
    assert body_of(render("{{ (0 - order.total) | money('USD') }}")) == "-$1,259.00"


def test_the_other_filters_do_what_they_say() -> None:
    body = (
        "{{ order.categories | join }}|{{ order.categories | join(' & ') }}|{{ order.categories | first }}|"
        "{{ order.categories | last }}|{{ order.items | length }}|{{ (order.items | first).name }}|"
        "{{ order.items[1].name | upper | lower | title }}|{{ ' a b ' | trim }}|{{ 'élan vital' | capitalize }}|"
        "{{ 2.345 | round(2) }}|{{ order.total + 1 - 0.5 }}|{{ order.is_gift | default('x') }}"
    )
    assert body_of(render(body)) == (
        "kitchen, gifts|kitchen & gifts|kitchen|gifts|2|Salt & pepper set|Mill|a b|Élan vital|2.35|1259.50|False"
    )


def test_order_items_is_the_field_and_not_a_method() -> None:
    known = names()
    known["order"] = {"items": [{"name": "A"}], "keys": "k", "currency": "EUR"}
    assert body_of(render("{% for i in order.items %}{{ i.name }}{% endfor %}", known=known)) == "A"


@pytest.mark.parametrize(("language", "name"), [("en", "your order"), ("de", "Ihre Bestellung"), ("xx", "your order")])
def test_an_order_without_items_has_a_name_in_the_letters_language(language: str, name: str) -> None:
    known = {**names(), "item": {"name": None, "quantity": 1}}
    assert body_of(render("{{ item.name }} {{ item.quantity }}", known=known, language=language)) == f"{name} 1"


def test_earlier_answers_are_found_with_dashes_or_underscores() -> None:
    assert body_of(render("{{ answers.arrived_ok }} {{ answers['arrived-ok'] }} {{ answers.x | default('-') }}")) == (
        "all-good all-good -"
    )


def test_a_missing_value_is_false_in_if_and_replaced_by_default() -> None:
    body = (
        "{% if customer.first_name %}x{% else %}nobody{% endif %} {{ customer.first_name | default('you') }} "
        "{% if customer.first_name == 'Ana' or customer.order_count > 5 or order.note in customer.tags %}x{% endif %}"
        "{{ 'a' if order.note is defined else 'b' }}"
    )
    assert body_of(render(body)) == "nobody you b"


def test_a_missing_value_that_is_printed_is_an_error_with_file_line_and_name() -> None:
    with pytest.raises(RenderError) as raised:
        render("Hi\n\n{% if replied or true %}\n- {{ customer.first_name }},\n{% endif %}")
    assert str(raised.value) == "templates/tried.md:11: {{ customer.first_name }}: first_name has no value"
    assert "default(" in raised.value.hint


def test_the_failing_line_is_found_in_every_place_a_name_can_stand() -> None:
    bad = "{{ customer.last_name }}"
    places = {
        f'---\nsubject: "{bad}"\n---\nx': 3,
        f'---\nsubject: x\npreheader: "{bad}"\n---\nx': 4,
        f'---\nsubject: x\nquestion:\n  ask: "{bad}"\n  open: true\n---\nx': 5,
        f"---\nsubject: x\n---\nx\n\ny\n{bad}": 8,
        f"---\nsubject: x\n---\n- a\n- b {{{{ 'x' | title }}}} {bad}": 6,
        f"---\nsubject: x\n---\n[a](https://shop.example/\n)\n\n[b](https://shop.example/{bad})": 8,
        "---\nsubject: x\n---\n\n{% for t in order.items %}\n{{ t.url }}\n{% endfor %}": 7,
    }
    for text, line in places.items():
        head, _, body = text.partition("\n---\n")
        with pytest.raises(RenderError, match=f"templates/tried.md:{line}: "):
            render(body, head=head + "\n---\n")


def test_an_answer_without_a_link_is_an_error() -> None:
    bundle = project(tried=HEAD + "{{ answers }}")
    with pytest.raises(RenderError, match="good has no value"):
        bundle.letter("tried").render(names(), person=bundle.people["mara"], links=Links(stop="https://f.example/s"))


def test_the_letter_speaks_of_the_person_it_is_from() -> None:
    known = {**names(), "sender": {"name": "Somebody Else", "first_name": "Somebody", "email": "else@shop.example"}}
    assert body_of(render("{{ sender.first_name }} {{ sender.email }}", known=known)) == "Mara mara@shop.example"


def test_whole_numbers_and_amounts_are_plain_text() -> None:
    known = names()
    known["order"] = {"days_late": 1000000, "total": Decimal("1E+3"), "placed_at": datetime(2026, 1, 1, tzinfo=UTC)}
    assert body_of(render("{{ order.days_late }} {{ order.total }}", known=known)) == "1000000 1000"


def test_a_part_is_put_in_and_errors_in_it_name_it() -> None:
    assert body_of(render('Hello\n\n{% include "_parts/bye.md" %}\n\nPS')) == "Hello\n\nSee you, friend.\n\nPS"
    files = {
        **FILES,
        "templates/tried.md": HEAD + "a\n\n{% include '_parts/x.md' %}\n\n{{ nobody }}",
        "templates/_parts/x.md": "one\n{{ customer.naem }}\n",
    }
    with pytest.raises(BundleError) as raised:
        load(files)
    assert [(d.path, d.line, d.column) for d in raised.value.diagnostics] == [
        ("templates/_parts/x.md", 2, 13),
        ("templates/tried.md", 11, 4),
    ]


def test_a_scale_offers_its_numbers_and_the_low_ones_are_negative() -> None:
    head = "---\nsubject: x\nquestion:\n  ask: How likely?\n  scale: 1-5\n---\n"
    letter = project(tried=head + "{{ answers }}").letter("tried")
    assert letter.question is not None
    assert [(c.id, c.label, c.negative) for c in letter.question.choices] == [
        ("1", "1", True),
        ("2", "2", True),
        ("3", "3", False),
        ("4", "4", False),
        ("5", "5", False),
    ]
    assert 'class="answers scale"' in render("{{ answers }}", head=head).html


def test_answers_that_say_so_are_negative_and_flags_decide() -> None:
    head = (
        "---\nsubject: x\nquestion:\n  ask: x\n  answers:\n    a: All good\n    problem: Call me\n"
        "    c: I’m unhappy\n    not-yet: {label: Not opened yet, negative: false}\n    "
        "e: {label: Meh, negative: true}\n---\n"
    )
    question = project(tried=head + "x").letter("tried").question
    assert question is not None
    assert {c.id: c.negative for c in question.choices} == {
        "a": False,
        "problem": True,
        "c": True,
        "not-yet": False,
        "e": True,
    }
