"""One customer, one address: what counts as the same."""

import pytest

from followup.core.customer import InvalidAddress, normalize_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ana@shop.example", "ana@shop.example"),
        ("Ana@Shop.EXAMPLE", "ana@shop.example"),
        (" ana@shop.example\n", "ana@shop.example"),
        ("ana+tea@shop.example", "ana+tea@shop.example"),
        ("a.n.a@shop.example", "a.n.a@shop.example"),
        ("ana@bücher.example", "ana@xn--bcher-kva.example"),
        ("ana@XN--Bcher-kva.example", "ana@xn--bcher-kva.example"),
        ("Ünal@bücher.example", "ünal@xn--bcher-kva.example"),
        ("u\u0308nal@xn--bcher-kva.example", "ünal@xn--bcher-kva.example"),  # composed as NFC
        ("o'neil@shop.example", "o'neil@shop.example"),
        ("ana@shop.test", "ana@shop.test"),
    ],
)
def test_an_address_is_compared_in_one_form(text, address):
    assert normalize_address(text) == address
    assert normalize_address(address) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ana",
        "@shop.example",
        "ana@",
        "ana@localhost",
        "ana@shop",
        "ana@@shop.example",
        "a..b@shop.example",
        "a b@shop.example",
        "ana@-shop.example",
        "ana@[192.0.2.1]",
        "ana@shop.invalid",
        "Ana <ana@shop.example>",
        "ana@shop.example, ben@shop.example",
        "ana@shop.example\nBcc: ben@shop.example",
        f"ana@{'a' * 64}.example",
        f"{'a' * 250}@shop.example",
    ],
)
def test_what_is_no_address_is_refused_and_quoted(text):
    with pytest.raises(InvalidAddress) as error:
        normalize_address(text)
    assert str(error.value).startswith(f"{text!r} is not a mail address: ")
