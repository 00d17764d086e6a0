"""The layout: the project's own, or the one that comes with followup."""

import pytest

from followup.authoring.bundle import BundleError, load
from followup.authoring.render import Links
from tests.authoring.project import FILES, names

GOOD = '<html><body><div>{{ body }}</div><p><a href="{{ stop_url }}">stop</a> {{ postal_address }}</p></body></html>'


def rendered(layout: str) -> str:
    bundle = load({**FILES, "templates/_layouts/letter.html": layout})
    links = Links(stop="https://f.example/stop?a=1&b=2")
    return (
        bundle.letter("plain-letter").render(names(first_name='"<b>'), person=bundle.people["mara"], links=links).html
    )


def test_a_project_can_have_its_own_layout() -> None:
    html = rendered(GOOD)
    assert "<p>Thank you!</p>" in html
    assert '<a href="https://f.example/stop?a=1&amp;b=2">stop</a> Hafenstr. 4, 20457 Hamburg</p>' in html


def test_styles_are_written_into_the_elements_and_media_queries_stay() -> None:
    html = rendered("<style>p { color: red } @media print { p { color: black } }</style>" + GOOD)
    assert '<p style="color: red;">Thank you!</p>' in html
    assert "@media print" in html


def test_statements_work_between_table_rows() -> None:
    html = rendered(
        GOOD.replace(
            "<div>",
            "<table>{% if customer.first_name %}<tr><td>{{ customer.first_name }}</td></tr>{% endif %}"
            "{% if replied %}<tr><td>no</td></tr>{% endif %}</table><div>",
        )
    )
    assert "<table><tbody><tr><td>&quot;&lt;b&gt;</td></tr></tbody></table>" in html.replace("&#34;", "&quot;")


def test_entities_cannot_become_code() -> None:
    html = rendered(GOOD.replace("<div>", "&#1;{ order }&#1; &#123;&#123; order }} {&#37; if %}<div>"))
    assert "{ order } {{ order }} {% if %}<div>" in html


def test_names_in_attributes_and_links_are_encoded() -> None:
    more = '<img src="{{ shop.url }}/logo.png" alt={{ customer.first_name }}>'
    more += '<a href="https://shop.example/{{ customer.first_name }}">x</a>'
    html = rendered(GOOD.replace("<div>", more + "<div>"))
    assert 'src="https://shop.example/logo.png"' in html
    assert 'alt="&#34;&lt;b&gt;"' in html
    assert 'href="https://shop.example/%22%3Cb%3E"' in html


@pytest.mark.parametrize(
    ("layout", "code", "said"),
    [
        (GOOD.replace("{{ body }}", ""), "T160", "{{ body }} exactly once"),
        (GOOD.replace("{{ body }}", "{{ body }}{{ body }}"), "T160", "{{ body }} exactly once"),
        (
            GOOD.replace("{{ body }}", "{% if replied %}{{ body }}{% endif %}"),
            "T160",
            "where not everybody would see it",
        ),
        (GOOD.replace("{{ stop_url }}", "https://x.example"), "T160", "needs a stop link"),
        (GOOD.replace('<a href="{{ stop_url }}">stop</a>', "{{ stop_url }}"), "T160", "needs a stop link"),
        (
            GOOD.replace("<p><a", "{% if replied %}<p><a").replace("</p>", "</p>{% endif %}"),
            "T160",
            "needs a stop link",
        ),
        (GOOD.replace("{{ postal_address }}", ""), "T160", "needs {{ postal_address }}"),
        (GOOD.replace("{{ postal_address }}", "<!-- {{ postal_address }} -->"), "T160", "in a comment"),
        (
            GOOD.replace("<body>", "<title>{{ postal_address }}</title><body>").replace(" {{ postal_address }}<", "<"),
            "T160",
            "needs",
        ),
        (GOOD + "<script>alert(1)</script>", "T160", "cannot have a <script>"),
        (GOOD + '<p style="color: {{ customer.first_name }}">', "T160", 'the attribute "style"'),
        (GOOD + '<p onclick="{{ customer.first_name }}">', "T160", 'the attribute "onclick"'),
        (GOOD + "<p {% if replied %}class='x'{% endif %}>x</p>", "T160", ""),
        (GOOD + "<style>p { color: {{ customer.first_name }} }</style>", "T160", "in a style sheet"),
        (GOOD + '<a href="javascript:{{ customer.first_name }}">x</a>', "T142", "cannot choose the host"),
        (GOOD + '<a href="javascript:alert(1)">x</a>', "T140", "leads nowhere"),
        (GOOD + "{{ customer.naem }}", "J001", 'Unknown name "customer.naem"'),
        (GOOD + "{{ body | upper }}", "T122", "stands alone"),
        (GOOD + "{% if %}", "J003", "Expected an expression"),
        (GOOD + "<style>#id{#x}</style>", "J003", "comment"),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_a_layout_that_lacks_something_or_could_do_harm_is_refused(layout: str, code: str, said: str) -> None:
    with pytest.raises(BundleError) as raised:
        load({**FILES, "templates/_layouts/letter.html": layout})
    first = raised.value.diagnostics[0]
    assert (first.path, first.code) == ("templates/_layouts/letter.html", code)
    assert said in first.message
