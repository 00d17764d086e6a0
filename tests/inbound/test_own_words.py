import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.inbound.reply_text import reply_of, words_in

OURS = ["reply.lumen.example", "mara@lumen.example"]


@pytest.mark.parametrize(
    "head",
    [
        "On Mon, Mar 2, 2026 at 9:00 AM Mara Lind <mara@lumen.example> wrote:",
        "On 02.03.2026 09:00, Mara Lind wrote:",
        "Am 02.03.26 um 09:00 schrieb Mara Lind:",
        "Am Mo., 2. März 2026 um 09:00 Uhr schrieb Mara Lind <\nmara@lumen.example>:",
        "Le lun. 2 mars 2026 à 09:00, Mara Lind <mara@lumen.example> a écrit :",
        "El lun, 2 mar 2026 a las 9:00, Mara Lind (<mara@lumen.example>) escribió:",
        "Il giorno lun 2 mar 2026 alle ore 09:00 Mara Lind <mara@lumen.example>\nha scritto:",
        "Op ma 2 mrt 2026 om 09:00 schreef Mara Lind <mara@lumen.example>:",
        "Em seg., 2 de mar. de 2026 às 09:00, Mara Lind <mara@lumen.example> escreveu:",
        "Den mån 2 mars 2026 kl 09:00 skrev Mara Lind <mara@lumen.example>:",
        "2026-03-02 9:00 GMT+01:00 Mara Lind <mara@lumen.example>:",
        "-----Original Message-----\nFrom: Mara Lind\nSent: Monday",
        "-----Ursprüngliche Nachricht-----",
        "________________________\nVan: Mara Lind <mara@lumen.example>\nVerzonden: maandag 2 maart 2026\nAan: Joan",
        "De : Mara Lind\nEnvoyé : lundi 2 mars 2026 09:00\nÀ : Joan\nObjet : La lampe",
        "*Da:* Mara Lind\n*Inviato:* lunedì 2 marzo 2026\n*A:* Joan\n*Oggetto:* La lampada",
        "De: Mara Lind\nEnviado el: lunes, 2 de marzo de 2026 9:00\nPara: Joan\nAsunto: La lámpara",
    ],
)
@pytest.mark.parametrize("mark", ["", "> "], ids=["unmarked", "marked"])
def test_what_we_wrote_is_not_what_the_customer_wrote(head, mark):
    body = f"It works.\n\nReally.\n\n{head}\n\n{mark}Hello Joan,\n{mark}how is the lamp?\n"

    assert words_in(body, OURS).text == "It works.\n\nReally."


def test_answers_between_quoted_questions_are_all_kept():
    body = "On 2 Mar 2026, at 09:00, Mara wrote:\n\n> Arrived in time?\nYes.\n> Buy again?\nNo!\n\n> Mara\n"

    assert words_in(body).text == "Yes.\nNo!"


def test_words_above_and_below_a_marked_quote_are_kept():
    body = "Above.\n\nOn 2 Mar 2026, at 09:00, Mara <mara@lumen.example> wrote:\n\n> Arrived in time?\n\nBelow.\n"

    assert words_in(body, OURS).text == "Above.\n\nBelow."


def test_an_answer_on_the_line_of_the_quote_head_is_kept():
    assert words_in("Fine! On Mon, 2 Mar 2026 at 9:00, mara@lumen.example wrote:\n> Hello").text == "Fine!"


def test_an_answer_below_an_unmarked_quote_of_a_stranger_is_kept():
    assert "Broken." in words_in("On 2 Mar 2026 at 09:00 Someone <s@other.example> wrote:\nHello\n\nBroken.").text


def test_a_mail_that_is_nothing_but_our_letter_holds_no_words():
    assert words_in("On 2 Mar 2026 at 09:00 Mara <mara@lumen.example> wrote:\nHello Joan", OURS).with_signature == ""


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("2\n\n-- \nJoan", "2"),
        ("Good.\n\nSent from my iPhone", "Good."),
        ("Gut.\n\nVon meinem iPhone gesendet", "Gut."),
        ("Bien.\nEnvoyé depuis Yahoo Mail", "Bien."),
        ("Good.\n\nKind regards,\nJoan Ferrer\n+34 600 000 000", "Good."),
        ("Good.\n\nThanks,\nJoan", "Good."),
        ("Good.\n/Joan", "Good."),
        ("Good.\n\nJoan Ferrer\nwww.joan.example", "Good."),
        ("Good.\n\nRegards\nJoan\n\nPS: the lid is cracked", "Good.\n\nRegards\nJoan\n\nPS: the lid is cracked"),
        ("Thanks", "Thanks"),
        ("Thanks\nThe lid is cracked", "Thanks\nThe lid is cracked"),
        ("Cheers", "Cheers"),
        ("Hello,\nbest\nlamp ever, it has been on all day and I have never seen a light that is as warm as this one.",)
        * 2,
        ("Sent from my desk, is much easier.", "Sent from my desk, is much easier."),
    ],
)
def test_a_signature_is_told_from_words(body, text):
    words = words_in(body)

    assert words.text == text
    assert words.with_signature.startswith(text)


def test_what_a_phone_adds_is_no_answer():
    assert words_in("Sent from my iPhone").text == ""
    assert words_in("Sent from my iPhone").with_signature == "Sent from my iPhone"


LINES = st.lists(
    st.sampled_from(
        [
            "", " ", "> quoted", ">", "Yes.", "No", "On Mon, 2 Mar 2026 at 9:00 Mara <mara@lumen.example> wrote:", "--",
            "-- ", "Kind regards", "Joan", "From: Mara", "Sent: Monday 09:00", "Subject: x", "To: me", "a: b", "____",
            "-----Original Message-----", "Sent from my iPhone", "Thanks,", "P.S. more", "mara@lumen.example",
            "> wrote:",
            "---------- Forwarded message ---------", "Fine On 2 Mar 2026 09:00 x@y.z wrote:", "<b@c.d> wrote:",
        ]
    )
    | st.text(max_size=40),
    max_size=25,
)  # fmt: skip


@given(LINES)
def test_own_words_are_lines_of_the_body_in_their_order(lines):
    body = "\n".join(lines)
    words = words_in(body, OURS)
    remaining = iter(body.split("\n"))

    for line in words.with_signature.split("\n"):
        assert any(given.rstrip().startswith(line) for given in remaining)
    assert words.with_signature.startswith(words.text)


@given(st.text() | st.binary())
def test_nothing_makes_it_raise(source):
    assert set(reply_of(source)) == {"reply", "with_signature"}
