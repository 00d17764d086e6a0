"""The pages that the links in a letter lead to, through the front door."""

import logging
import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from followup.core.tokens import TokenPurpose, sign
from followup.services import deploy
from followup.services.answers import LONGEST_COMMENT, MOST_ANSWERS
from followup.store import schema
from followup.store.types import real_now
from followup.web.words import WORDS
from tests.services.world import ASK, CHECK_IN, KEYS, MONDAY
from tests.web.visiting import Visiting, chosen


@pytest.fixture
def asked(engine: Engine, database_url: str, tmp_path: Path) -> Visiting:
    visiting = Visiting(engine, database_url, tmp_path)
    visiting.ask()
    return visiting


def answers(visiting: Visiting) -> list[tuple[str, str | None]]:
    return [(row.answer, row.comment) for row in visiting.world.rows("answers")]


def test_the_link_of_an_answer_opens_the_question_with_that_answer_preselected(asked: Visiting) -> None:
    with asked.site() as browser:
        page = browser.get(asked.link("broken"))
    assert page.status_code == 200
    assert "Did everything arrive in one piece?" in page.text
    assert "Nell Harrow at Harrow Forge will read this." in page.text
    assert chosen(page.text) == ["broken"]
    assert page.text.count('type="radio"') == 2


def test_the_links_in_the_letter_are_the_ones_that_work(asked: Visiting) -> None:
    letter = asked.world.letters()[0].get_body(("html",)).get_content()
    links = re.findall(r'href="https://forge\.example(/[au]/[^"]+)"', letter)
    assert len(links) == 3
    with asked.site() as browser:
        assert [browser.get(link).status_code for link in links] == [200, 200, 200]


def test_a_sent_answer_is_on_the_record_and_the_run_moves_on(asked: Visiting) -> None:
    with asked.site() as browser:
        thanks = browser.post(asked.link(), data={"choice": "fine", "comment": ""})
    assert (thanks.status_code, thanks.history[0].status_code) == (200, 303)
    assert "Thank you" in thanks.text
    assert "Yes, all good" in thanks.text
    assert "Change my answer" in thanks.text
    assert answers(asked) == [("fine", None)]
    asked.world.drain()
    assert asked.world.rows("enrollments")[0].step == "wait-2"
    assert asked.world.rows("conversations") == []


def test_a_bad_answer_or_a_comment_opens_a_conversation(asked: Visiting) -> None:
    with asked.site() as browser:
        browser.post(asked.link(), data={"choice": "fine", "comment": "but the box was open"})
    assert answers(asked) == [("fine", "but the box was open")]
    assert len(asked.world.rows("conversations")) == 1


def test_the_page_without_an_answer_in_its_link_shows_the_one_that_stands(asked: Visiting) -> None:
    with asked.site() as browser:
        assert chosen(browser.get(asked.link()).text) == []
        browser.post(asked.link(), data={"choice": "broken", "comment": "a dent"})
        page = browser.get(asked.link()).text
        other = browser.get(asked.link("fine")).text
    assert chosen(page) == ["broken"]
    assert ">\na dent</textarea>" in page
    assert chosen(other) == ["fine"]
    assert "Noted so far: Something is broken" in other


def test_a_double_click_or_a_reload_is_one_answer(asked: Visiting) -> None:
    with asked.site() as browser:
        for _ in range(3):
            assert browser.post(asked.link(), data={"choice": "broken", "comment": "a dent "}).status_code == 200
    assert answers(asked) == [("broken", "a dent")]
    assert [row.kind for row in asked.world.rows("events")].count("answer.given") == 1


def test_a_changed_mind_is_kept_as_history_and_the_last_word_stands(asked: Visiting) -> None:
    with asked.site() as browser:
        browser.post(asked.link(), data={"choice": "broken"})
        browser.post(asked.link(), data={"choice": "fine"})
        page = browser.post(asked.link(), data={"choice": "fine", "comment": "found the lid"}).text
    assert answers(asked) == [("broken", None), ("fine", None), ("fine", "found the lid")]
    assert "found the lid" in page


def test_an_answer_can_be_changed_a_bounded_number_of_times(asked: Visiting) -> None:
    with asked.site() as browser:
        for number in range(MOST_ANSWERS):
            browser.post(asked.link(), data={"choice": "fine", "comment": str(number)})
        page = browser.post(asked.link(), data={"choice": "fine", "comment": "once more"})
        same = browser.post(asked.link(), data={"choice": "fine", "comment": str(MOST_ANSWERS - 1)})
    assert page.status_code == 409
    assert "reply to the letter" in page.text
    assert "once more" in page.text
    assert same.status_code == 200
    assert len(answers(asked)) == MOST_ANSWERS


def test_an_answer_after_the_timeout_is_recorded_and_the_run_is_not_rewound(asked: Visiting) -> None:
    asked.world.go_to(MONDAY + timedelta(days=7))
    before = asked.world.rows("enrollments")
    assert before[0].outcome == "silent"
    with asked.site() as browser:
        assert browser.post(asked.link(), data={"choice": "broken"}).status_code == 200
    asked.world.drain()
    assert answers(asked) == [("broken", None)]
    assert len(asked.world.rows("conversations")) == 1
    assert asked.world.rows("enrollments")[0].outcome == "silent"


@pytest.mark.parametrize("choice", ["maybe", "", "fine' OR 1=1", "x" * 300])
def test_an_answer_that_was_not_offered_is_asked_for_again_and_no_word_is_lost(asked: Visiting, choice: str) -> None:
    with asked.site() as browser:
        page = browser.post(asked.link(), data={"choice": choice, "comment": "it <came> late"})
    assert page.status_code == 422
    assert "Please choose one of the answers." in page.text
    assert "it &lt;came&gt; late" in page.text
    assert chosen(page.text) == []
    assert answers(asked) == []


def test_the_link_of_an_answer_that_is_not_offered_opens_the_page_without_a_choice(asked: Visiting) -> None:
    with asked.site() as browser:
        page = browser.get(asked.link("maybe"))
    assert (page.status_code, chosen(page.text), asked.visits()) == (200, [], [])


def test_looking_as_often_as_one_likes_changes_nothing_but_visits(asked: Visiting) -> None:
    before = asked.everything()
    with asked.site() as browser:
        for _ in range(15):
            for link in (asked.link("fine"), asked.link("broken"), asked.link(), asked.stop_link):
                assert browser.get(link).status_code == 200
                assert browser.head(link).status_code == 200
            asked.seconds.now += 60
    asked.world.drain()
    assert asked.everything() == before
    assert len(asked.visits()) == 45


def test_asking_for_the_headers_only_is_no_visit(asked: Visiting) -> None:
    with asked.site() as browser:
        assert browser.head(asked.link("fine")).content == b""
        browser.head(asked.stop_link)
        browser.get(asked.link("fine"), headers={"Sec-Purpose": "prefetch"})
    assert asked.visits() == []


def test_visits_are_kept_up_to_a_bound(asked: Visiting) -> None:
    with asked.site() as browser:
        for _ in range(70):
            browser.get(asked.link("fine"))
    assert len(asked.visits()) == 50


def test_a_lone_click_that_nobody_confirmed_stops_the_reminder_and_is_no_answer(asked: Visiting) -> None:
    asked.world.later(hours=5)
    with asked.site() as browser:
        browser.get(asked.link("fine"))
        browser.get(asked.link("fine"))
    asked.world.go_to(MONDAY + timedelta(days=5))
    assert [(row.round, row.state) for row in asked.world.rows("messages")] == [(0, "accepted"), (1, "skipped")]
    asked.world.go_to(MONDAY + timedelta(days=7))
    assert asked.world.rows("enrollments")[0].outcome == "silent", "branches do not see it"


def test_a_scanner_that_opens_every_link_does_not_stop_the_reminder(asked: Visiting) -> None:
    with asked.site() as browser:
        for link in (asked.link("fine"), asked.link("broken"), asked.stop_link):
            browser.get(link)
    asked.world.go_to(MONDAY + timedelta(days=5))
    assert [(row.round, row.state) for row in asked.world.rows("messages")] == [(0, "accepted"), (1, "accepted")]
    assert asked.world.rows("suppressions") == []


def test_a_person_who_clicks_after_the_scanner_counts(asked: Visiting) -> None:
    with asked.site() as browser:
        for choice in ("fine", "broken"):
            browser.get(asked.link(choice))
        asked.world.later(hours=2)
        browser.get(asked.link("broken"))
    asked.world.go_to(MONDAY + timedelta(days=5))
    assert [(row.round, row.state) for row in asked.world.rows("messages")] == [(0, "accepted"), (1, "skipped")]


def test_a_click_before_a_postponed_reminder_leaves_skips_it(engine: Engine, database_url: str, tmp_path: Path) -> None:
    visiting = Visiting(engine, database_url, tmp_path)
    windowed = CHECK_IN.replace("steps:", "send_window: {hours: 09:00-17:00}\nsteps:")
    visiting.world.apply(check_in=windowed.replace("remind_after: 3 days", "remind_after: 60 hours"))
    visiting.ask()
    visiting.world.go_to(MONDAY + timedelta(days=2, hours=60))
    assert visiting.world.states() == ["accepted", "due"], "it waits for the morning"
    with visiting.site() as browser:
        browser.get(visiting.link("fine"))
    visiting.world.later(hours=12)
    assert visiting.world.states() == ["accepted", "skipped"]
    assert visiting.world.verdicts()[-1] == ("skipped", "an answer was opened, though not sent")


def test_a_letter_whose_answer_was_lost_is_proved_by_an_answer_and_not_by_a_visit(asked: Visiting) -> None:
    with asked.world.engine.begin() as conn:
        conn.execute(update(schema.messages).values(state="unknown", accepted_at=None, outcome=None))
    with asked.site() as browser:
        browser.get(asked.link("fine"))
        assert asked.world.states() == ["unknown"]
        browser.post(asked.link(), data={"choice": "fine"})
    assert asked.world.states() == ["accepted"]


class TestDeadLinks:
    def dead(self, asked: Visiting) -> dict[str, str]:
        name = asked.name
        return {
            "forged": f"/a/{sign(TokenPurpose.ANSWER, name, ['another key'])}/fine",
            "forged without a choice": f"/a/{sign(TokenPurpose.ANSWER, name, ['another key'])}",
            "unknown": f"/a/{sign(TokenPurpose.ANSWER, 'a' * 16, KEYS)}/fine",
            "for unsubscribing": f"/a/{sign(TokenPurpose.STOP, name, KEYS)}/fine",
            "for replying": f"/a/{sign(TokenPurpose.REPLY, name, KEYS)}",
            "for answering": f"/u/{sign(TokenPurpose.ANSWER, name, KEYS)}",
            "forged to stop": f"/u/{sign(TokenPurpose.STOP, name, ['another key'])}",
            "cut off": asked.link()[:-3],
            "too long": f"{asked.link()}x",
            "not ASCII": "/a/%F0%9F%92%A9" * 2,
            "no token": "/a/",
            "null": "/a/%00/fine",
            "endless": "/a/" + "a" * 5000,
            "deeper": f"{asked.link('fine')}/more",
            "nothing of ours": "/wp-login.php",
        }

    def test_every_link_that_does_not_work_looks_the_same(self, asked: Visiting) -> None:
        links = list(self.dead(asked).values())
        before = asked.everything()
        with asked.site() as browser:
            pages = []
            for link in links:
                pages += [browser.get(link), browser.post(link, data={"choice": "fine"})]
                asked.seconds.now += 60
            asked.world.clock.move_to(MONDAY + timedelta(days=368))
            pages += [browser.get(asked.link("fine")), browser.post(asked.link(), data={"choice": "fine"})]
        posts_to_link = [page for page in pages if page.status_code == 405]
        same = [page for page in pages if page.status_code != 405]
        assert all("/fine" in str(page.url) for page in posts_to_link)
        assert {(page.status_code, page.content) for page in same} == {(404, same[0].content)}
        assert "simply reply to the letter" in same[0].text
        assert asked.everything() == before
        assert asked.visits() == []

    def test_it_says_so_in_the_browsers_language(self, asked: Visiting) -> None:
        with asked.site() as browser:
            page = browser.get("/a/nothing", headers={"Accept-Language": "xx, de-AT;q=0.8, en;q=0.5"})
        assert '<html lang="de">' in page.text
        assert WORDS["de"].dead_text in page.text

    def test_a_link_works_for_a_year(self, asked: Visiting) -> None:
        asked.world.clock.move_to(MONDAY + timedelta(days=2 + 365))
        with asked.site() as browser:
            assert browser.get(asked.link()).status_code == 200
            asked.world.clock.move_to(asked.world.clock.now() + timedelta(seconds=1))
            assert browser.get(asked.link()).status_code == 404
            assert browser.get(asked.stop_link).status_code == 200, "that one always works"

    @pytest.mark.parametrize("state", ["rejected", "cancelled"])
    def test_a_letter_that_cannot_have_arrived_asks_nothing(self, asked: Visiting, state: str) -> None:
        with asked.world.engine.begin() as conn:
            conn.execute(update(schema.messages).values(state=state, accepted_at=None))
        with asked.site() as browser:
            assert browser.get(asked.link()).status_code == 404

    def test_a_letter_that_is_being_sent_may_be_there_already(self, asked: Visiting) -> None:
        with asked.world.engine.begin() as conn:
            conn.execute(update(schema.messages).values(state="sending", accepted_at=None, leased_until=real_now(60)))
        with asked.site() as browser:
            assert browser.post(asked.link(), data={"choice": "fine"}).status_code == 200
        assert answers(asked) == [("fine", None)]

    def test_links_signed_with_an_older_key_work(self, asked: Visiting) -> None:
        with asked.site(secret_keys=f"a-newer-key,{KEYS[0]}") as browser:
            assert browser.get(asked.link()).status_code == 200


class TestWords:
    @pytest.mark.parametrize("language", sorted(WORDS))
    def test_the_page_speaks_the_language_of_the_letter(
        self, engine: Engine, database_url: str, tmp_path: Path, language: str
    ) -> None:
        visiting = Visiting(engine, database_url, tmp_path, language=f"{language}-XX")
        translated = ASK.replace("Did everything arrive in one piece?", f"Frage {language}?")
        visiting.ask({f"templates/arrived.{language}.md": translated} if language != "en" else None)
        words = WORDS[language]
        with visiting.site() as browser:
            page = browser.get(visiting.link("fine"), headers={"Accept-Language": "ja, de"}).text
            thanks = browser.post(visiting.link(), data={"choice": "fine", "comment": "ß"}).text
            stop = browser.get(visiting.stop_link).text
            stopped = browser.post(visiting.stop_link, data={"page": "1"}).text
        assert f'<html lang="{language}">' in page
        for text, shown in ((words.send, page), (words.thanks, thanks), (words.stop_title, stop)):
            assert text in shown
        assert words.stopped_title in stopped
        assert all("{" not in shown for shown in map(self._body, (page, thanks, stop, stopped)))

    @staticmethod
    def _body(page: str) -> str:
        return page.partition("<body>")[2]

    def test_a_language_without_words_falls_back_to_english_around_the_question(
        self, engine: Engine, database_url: str, tmp_path: Path
    ) -> None:
        visiting = Visiting(engine, database_url, tmp_path, language="ja")
        visiting.ask({"templates/arrived.ja.md": ASK.replace("Did everything arrive in one piece?", "届きましたか？")})
        with visiting.site() as browser:
            page = browser.get(visiting.link()).text
        assert '<html lang="en">' in page
        assert '<h1 lang="ja" dir="auto">届きましたか？</h1>' in page

    def test_a_letter_that_is_gone_from_the_folder_can_still_be_answered(self, asked: Visiting) -> None:
        told = CHECK_IN.partition("steps:")[0] + "steps:\n  - send: advice\n"
        asked.world.apply(check_in=told, in_flight={"arrived": "finish"})
        without = {name: text for name, text in asked.world.files.items() if name != "templates/arrived.md"}
        deploy.apply(asked.world.engine, without, clock=asked.world.clock)
        with asked.site() as browser:
            page = browser.get(asked.link())
            assert "Nell Harrow at Harrow Forge will read this." in page.text
            assert browser.post(asked.link(), data={"choice": "fine"}).status_code == 200


class TestHostileInput:
    def test_what_the_shop_and_the_customer_wrote_is_escaped(
        self, engine: Engine, database_url: str, tmp_path: Path
    ) -> None:
        visiting = Visiting(engine, database_url, tmp_path, first_name="<script>alert(1)</script>")
        evil = (
            ASK.replace("ask: Did everything arrive in one piece?", "ask: '<b>{{ customer.first_name }}</b>?'")
            .replace('"Yes, all good"', "'<img src=x onerror=alert(1)>'")
            .replace("Something is broken", "'\"></span><script>x</script>'")
        )
        visiting.ask({"templates/arrived.md": evil})
        with visiting.site() as browser:
            page = browser.get(visiting.link("fine")).text
            comment = "</textarea><script>alert(2)</script>{{ 7*7 }}"
            thanks = browser.post(visiting.link(), data={"choice": "broken", "comment": comment}).text
            again = browser.get(visiting.link()).text
        for shown in (page, thanks, again):
            assert "<script" not in shown
            assert "<img" not in shown
            assert "<b>" not in shown
        assert "{{ 7*7 }}" in thanks

    def test_a_comment_is_cut_at_its_longest_and_loses_what_no_database_takes(self, asked: Visiting) -> None:
        written = "\x00\x1b[31mred\x7f\r\nline\ttwo " + "é" * 5000
        with asked.site() as browser:
            browser.post(asked.link(), data={"choice": "fine", "comment": written})
        ((_, comment),) = answers(asked)
        assert comment is not None
        assert comment.startswith("[31mred\nline\ttwo ééé")
        assert len(comment) == LONGEST_COMMENT

    @pytest.mark.parametrize("text", ["👩‍👩‍👧‍👦 नमस्ते שלום", "e\u0301\u200f\u202eabc", "\ufeff\uffff𝔘"])
    def test_odd_signs_come_back_as_they_were(self, asked: Visiting, text: str) -> None:
        with asked.site() as browser:
            page = browser.post(asked.link(), data={"choice": "fine", "comment": text}).text
        assert answers(asked) == [("fine", text.strip())]
        assert text in page

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"choice=fine&comment=%ff%fe%00", "application/x-www-form-urlencoded"),
            (b"choice=fine&comment=%ED%A0%80", "application/x-www-form-urlencoded"),
            (
                b'--b\r\nContent-Disposition: form-data; name="choice"\r\n\r\nfine\r\n'
                b'--b\r\nContent-Disposition: form-data; name="comment"\r\n\r\nx\\ud800\r\n--b--\r\n',
                "multipart/form-data; boundary=b; charset=raw_unicode_escape",
            ),
        ],
    )
    def test_bytes_that_are_no_text_do_no_harm(self, asked: Visiting, body: bytes, kind: str) -> None:
        with asked.site() as browser:
            assert browser.post(asked.link(), content=body, headers={"Content-Type": kind}).status_code == 200
        assert len(answers(asked)) == 1

    @pytest.mark.parametrize(
        ("body", "kind", "status"),
        [
            (b"choice=fine&comment=" + b"x" * 70_000, "application/x-www-form-urlencoded", 413),
            (b"&".join(b"a=%d" % n for n in range(50)), "application/x-www-form-urlencoded", 400),
            (b"nonsense", "multipart/form-data; boundary=b", 400),
            (b"--b\r\n", "multipart/form-data", 400),
            (
                b'--b\r\nContent-Disposition: form-data; name="choice"; filename="x"\r\n\r\nfine\r\n--b--\r\n',
                "multipart/form-data; boundary=b",
                400,
            ),
            (
                b'--b\r\nContent-Disposition: form-data; name="choice"\r\n\r\nfine\r\n--b--\r\n',
                "multipart/form-data; boundary=b; charset=undefined",
                400,
            ),
        ],
    )
    def test_a_form_that_cannot_be_read_is_refused_plainly(
        self, asked: Visiting, body: bytes, kind: str, status: int
    ) -> None:
        with asked.site() as browser:
            page = browser.post(asked.link(), content=body, headers={"Content-Type": kind})
        assert page.status_code == status
        assert WORDS["en"].unread_text in page.text
        assert answers(asked) == []

    def test_a_body_without_a_length_is_bounded_as_well(self, asked: Visiting) -> None:
        chunks = (b"comment=", *[b"x" * 10_000] * 10)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        with asked.site() as browser:
            assert browser.post(asked.link(), content=iter(chunks), headers=headers).status_code == 413


def test_the_log_names_no_token_no_address_and_no_words(asked: Visiting, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "followup")
    with asked.site() as browser:
        browser.get(asked.link("broken"))
        browser.post(asked.link(), data={"choice": "broken", "comment": "a dent"})
        browser.get("/a/nothing")
    logged = [record for record in caplog.records if record.msg == "web.request"]
    assert [(r.method, r.route, r.status) for r in logged] == [  # type: ignore[attr-defined]
        ("GET", "answer_link", 200),
        ("POST", "answer", 303),
        ("GET", "answer", 200),
        ("GET", "answer", 404),
    ]
    everything = " ".join(str(vars(record)) for record in caplog.records)
    for secret in (asked.name, "a dent", "ana@example.com", "testclient", "nothing"):
        assert secret not in everything
