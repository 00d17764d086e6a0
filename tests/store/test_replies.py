from datetime import date
from typing import Any

from sqlalchemy import Connection, Engine

from followup.core.message import MessageState
from followup.core.replies import Absence, MailKind, Response, Source
from followup.store import replies
from followup.store.engine import writing
from followup.store.replies import NewAnswer, NewReply
from tests.store.make import START, a_customer, a_mail, a_message, a_reply, an_enrollment, at, column


class Asked:
    """A customer who was asked at the step "ask", and again at "more"."""

    def __init__(self, conn: Connection, name: str = "ana") -> None:
        self.customer_id = a_customer(conn, name)
        self.enrollment_id = an_enrollment(conn, self.customer_id)
        self.ask, self.more = (
            a_message(
                conn,
                MessageState.ACCEPTED,
                customer_id=self.customer_id,
                enrollment_id=self.enrollment_id,
                step=step,
                set_={"question": f"{step}?"},
            )
            for step in ("ask", "more")
        )

    def wrote(self, conn: Connection, hour: float, text: str, **given: Any) -> int:
        about = {"message_id": self.ask, "enrollment_id": self.enrollment_id}
        return a_reply(conn, self.customer_id, **about | {"received_at": at(hour), "text": text} | given)

    def chose(self, conn: Connection, hour: float, answer: str, **given: Any) -> None:
        known: dict[str, Any] = {
            "customer_id": self.customer_id,
            "message_id": self.ask,
            "enrollment_id": self.enrollment_id,
            "letter": "hello",
            "step": "ask",
            "answer": answer,
            "label": answer.title(),
            "source": Source.CLICK,
            "at": at(hour),
        }
        replies.add_answer(conn, NewAnswer(**known | given))


def test_a_mail_is_on_a_customers_record_once(engine: Engine) -> None:
    with writing(engine) as conn:
        ana, ben = a_customer(conn), a_customer(conn, "ben")
        known: dict[str, Any] = {
            "message_id": None,
            "enrollment_id": None,
            "kind": MailKind.HUMAN,
            "from_address": "ana@shop.example",
            "subject": None,
            "text": "hi",
            "text_signed": "hi",
            "returns_on": None,
            "received_at": START,
        }

        def add(customer: int, rfc_message_id: str, inbound: int) -> int | None:
            new = NewReply(customer_id=customer, rfc_message_id=rfc_message_id, inbound_id=inbound, **known)
            return replies.add_reply(conn, new)

        mails = [a_mail(conn) for _ in range(4)]
        assert add(ana, "<1>", mails[0]) is not None
        assert add(ana, "<1>", mails[1]) is None, "a second copy that took another way"
        assert add(ana, "<2>", mails[0]) is None, "the same raw mail"
        assert add(ben, "<1>", mails[2]) is not None, "one mail to two customers"
        assert add(ana, "<2>", mails[3]) is not None
        assert replies.count_by_kind(conn) == {"human": 3}


def test_clicks_and_mails_are_one_list_oldest_first(engine: Engine) -> None:
    with writing(engine) as conn:
        asked = Asked(conn)
        asked.wrote(conn, 3, "then this")
        asked.chose(conn, 2, "good", comment="why not")
        asked.wrote(conn, 1, "first this", message_id=asked.more)
        asked.chose(conn, 4, "bad", step="more")
        assert replies.responses(conn, [asked.enrollment_id]) == {
            asked.enrollment_id: [
                Response(at=at(1), step="more", source=Source.REPLY, text="first this"),
                Response(
                    at=at(2),
                    step="ask",
                    source=Source.CLICK,
                    answer="good",
                    label="Good",
                    text="why not",
                ),
                Response(at=at(3), step="ask", source=Source.REPLY, text="then this"),
                Response(at=at(4), step="more", source=Source.CLICK, answer="bad", label="Bad"),
            ]
        }


def test_a_mail_that_names_an_answer_is_one_response_with_both(engine: Engine) -> None:
    with writing(engine) as conn:
        asked = Asked(conn)
        plain = asked.wrote(conn, 1, "it is fine")
        named = asked.wrote(conn, 2, "Good")
        asked.chose(conn, 2, "good", source=Source.REPLY, reply_id=named)
        found = replies.responses(conn, [asked.enrollment_id])[asked.enrollment_id]
        assert plain != named
    assert [(one.source, one.text, one.answer, one.label) for one in found] == [
        (Source.REPLY, "it is fine", None, None),
        (Source.REPLY, "Good", "good", "Good"),
    ]


def test_responses_are_of_the_enrollments_asked_for_and_by_people(engine: Engine) -> None:
    with writing(engine) as conn:
        ana, ben, cleo = Asked(conn), Asked(conn, "ben"), Asked(conn, "cleo")
        for one in (ana, ben):
            one.wrote(conn, 1, "mine")
        ana.wrote(conn, 2, "I am away", kind=MailKind.AUTO_REPLY)
        cleo.chose(conn, 1, "good")
        cleo.wrote(conn, 1, "hers")
        found = replies.responses(conn, [ana.enrollment_id, ben.enrollment_id])
    assert {key: [one.text for one in said] for key, said in found.items()} == {
        ana.enrollment_id: ["mine"],
        ben.enrollment_id: ["mine"],
    }


def test_the_first_note_of_absence_at_a_step_gives_the_day_of_return(engine: Engine) -> None:
    with writing(engine) as conn:
        ana, ben = Asked(conn), Asked(conn, "ben")
        away = {"kind": MailKind.AUTO_REPLY}
        ana.wrote(conn, 1, "away", **away)
        ana.wrote(conn, 2, "away", **away, returns_on="2026-03-09")
        ana.wrote(conn, 3, "away", **away, returns_on="2026-04-01")
        ana.wrote(conn, 4, "away", **away, returns_on="2026-05-01", message_id=ana.more)
        ben.wrote(conn, 1, "away", **away, returns_on="2026-06-01")
        assert replies.absences(conn, [ana.enrollment_id]) == {
            ana.enrollment_id: {
                "ask": Absence(at(2), date(2026, 3, 9)),
                "more": Absence(at(4), date(2026, 5, 1)),
            }
        }


def test_the_last_confirmed_answer_to_a_letter_stands(engine: Engine) -> None:
    with writing(engine) as conn:
        ana, ben, cleo = Asked(conn), Asked(conn, "ben"), Asked(conn, "cleo")
        ana.chose(conn, 3, "good")
        ana.chose(conn, 1, "bad")
        ana.chose(conn, 2, "five", letter="stars")
        ben.chose(conn, 1, "bad")
        cleo.chose(conn, 1, "bad")
        assert replies.last_answers(conn, [ana.customer_id, ben.customer_id]) == {
            ana.customer_id: {"hello": "good", "stars": "five"},
            ben.customer_id: {"hello": "bad"},
        }
        assert replies.count_answers(conn) == 3, "messages with an answer, not answers"


def test_the_last_words_of_a_person_stand(engine: Engine) -> None:
    with writing(engine) as conn:
        ana, ben = Asked(conn), Asked(conn, "ben")
        ana.wrote(conn, 2, "last")
        ana.wrote(conn, 1, "first")
        ana.wrote(conn, 3, "away", kind=MailKind.AUTO_REPLY)
        ben.wrote(conn, 1, "mine")
        assert replies.last_replies(conn, [ana.customer_id]) == {ana.customer_id: "last"}


def test_the_last_words_are_those_of_a_mail_a_comment_or_an_answer(engine: Engine) -> None:
    with writing(engine) as conn:
        ana, ben, cleo, dan, eve = (Asked(conn, name) for name in ("ana", "ben", "cleo", "dan", "eve"))
        ana.chose(conn, 1, "bad", comment="chipped")
        ana.wrote(conn, 2, "and dented")
        ana.wrote(conn, 3, "away", kind=MailKind.AUTO_REPLY)
        ben.wrote(conn, 1, "hm")
        ben.chose(conn, 2, "bad", comment="chipped")
        cleo.chose(conn, 1, "bad")
        named = dan.wrote(conn, 1, "It is bad")
        dan.chose(conn, 1, "bad", source=Source.REPLY, reply_id=named)
        eve.wrote(conn, 1, "", subject="A photo")
        everybody = [one.customer_id for one in (ana, ben, cleo, dan, eve)]
        assert replies.last_words(conn, everybody) == {
            ana.customer_id: "and dented",
            ben.customer_id: "chipped",
            cleo.customer_id: "Bad",
            dan.customer_id: "It is bad",
            eve.customer_id: "A photo",
        }
        assert set(replies.last_words(conn, [ana.customer_id])) == {ana.customer_id}


def test_replies_are_listed_newest_first_with_what_they_answer(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = Asked(conn)
        ana.wrote(conn, 1, "old")
        ana.wrote(conn, 3, "away", kind=MailKind.AUTO_REPLY)
        a_reply(conn, ana.customer_id, text="unasked", received_at=at(2))
        ana.wrote(conn, 3, "same moment, later")
        assert [one.text for one in replies.listed(conn, kind=None, limit=9)] == [
            "same moment, later",
            "away",
            "unasked",
            "old",
        ]
        assert [one.text for one in replies.listed(conn, kind="auto_reply", limit=9)] == ["away"]
        newest, *_, oldest = replies.listed(conn, kind="human", limit=3)
        assert [one.text for one in replies.listed(conn, kind=None, limit=1)] == ["same moment, later"]
    assert (newest.email, newest.workflow, newest.question) == ("ana@shop.example", "care", "ask?")
    assert (oldest.received_at, oldest.kind) == (at(1), "human")


def test_answers_by_click_are_listed_among_the_mails(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = Asked(conn)
        ana.chose(conn, 2, "bad", comment="chipped")
        named = ana.wrote(conn, 3, "Good")
        ana.chose(conn, 3, "good", source=Source.REPLY, reply_id=named)
        ana.chose(conn, 4, "fine")
        ana.wrote(conn, 1, "hm")
        found = replies.listed(conn, kind=None, limit=9)
        assert [(one.kind, one.answer, one.label, one.text) for one in found] == [
            ("click", "fine", "Fine", ""),
            ("human", "good", "Good", "Good"),
            ("click", "bad", "Bad", "chipped"),
            ("human", None, None, "hm"),
        ]
        assert replies.listed(conn, kind=None, limit=2) == found[:2]
        assert replies.listed(conn, kind="click", limit=9) == [found[0], found[2]]
    assert (found[0].email, found[0].workflow, found[0].question) == ("ana@shop.example", "care", "ask?")
    assert found[0].received_at == at(4)


def test_a_reply_keeps_every_word_of_every_script(engine: Engine) -> None:
    words = "Grüße, ありがとう 🎁\nO'Neil; DROP TABLE replies; --"
    with writing(engine) as conn:
        ana = Asked(conn)
        key = ana.wrote(conn, 1, words, subject=words)
        assert column(conn, "replies", "text", key) == words
        assert column(conn, "replies", "subject", key) == words
