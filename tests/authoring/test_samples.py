"""Samples: customers made up to try things with."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from followup.authoring.bundle import BundleError, load, load_applied, read_folder
from followup.authoring.diagnostics import Report
from followup.authoring.samples import FOLDER, placed, read_sample
from followup.core.customer import ConsentBasis
from followup.core.order import Item, OrderStatus
from tests.authoring.project import FILES

PROJECT = Path(__file__).parent.parent.parent
FULL = """\
about: All that can be said
customer:
  first_name: Ana
  last_name: Ferreira
  email: Ana@Example.com
  language: pt-BR
  country: br
  region: SP
  city: Santos
  timezone: America/Sao_Paulo
  consent: opt_in
  tags: [trade, 7]
  remembered: {taste: sweet, customer.visits: 3}
order:
  number: 1001
  total: 250.50
  currency: BRL
  is_gift: true
  note: For Rui
  items:
    - {name: Pan, sku: 028, category: pans, quantity: 2, price: 129, url: "https://x.example/p", image_url: "https://x.example/i"}
    - name: 7
  paid: 10 minutes
  fulfilled: 2 days
  promised: 1 week
"""


def test_a_sample_says_all_that_a_shop_can_report() -> None:
    report = Report("templates/_samples/full.yaml", "T")
    sample = read_sample("full", FULL, report)
    assert sample is not None, report.diagnostics
    assert sample.about == "All that can be said"
    assert (sample.customer.address, sample.customer.email) == ("ana@example.com", "Ana@Example.com")
    assert (sample.customer.country, sample.customer.consent_basis) == ("BR", ConsentBasis.OPT_IN)
    assert (sample.tags, sample.remembered) == (("trade", "7"), {"taste": "sweet", "visits": 3})
    at = datetime(2026, 3, 2, 10, tzinfo=UTC)
    order = placed(sample, at).order
    assert (order.number, order.total_cents, order.currency, order.is_gift) == ("1001", 25_050, "BRL", True)
    assert (order.placed_at, order.paid_at) == (at, at + timedelta(minutes=10))
    assert (order.fulfilled_at, order.promised_at, order.delivered_at) == (
        at + timedelta(days=2),
        at + timedelta(days=7),
        None,
    )
    assert order.status is OrderStatus.FULFILLED
    assert order.items[0] == Item(
        name="Pan",
        sku="028",
        category="pans",
        quantity=2,
        price_cents=12_900,
        url="https://x.example/p",
        image_url="https://x.example/i",
    )
    assert order.items[1] == Item(name="7")


def test_a_sample_needs_to_say_little() -> None:
    report = Report("templates/_samples/short.yaml", "T")
    text = "about: Little\ncustomer: {}\norder: {items: [{name: Pan, price: 12.50, quantity: 2}]}\n"
    sample = read_sample("short", text, report)
    assert sample is not None, report.diagnostics
    assert (sample.customer.email, sample.customer.consent_basis) == ("short@example.com", ConsentBasis.UNKNOWN)
    assert sample.order.total_cents == 2_500
    assert placed(sample, datetime(2026, 3, 2, tzinfo=UTC)).order.status is OrderStatus.PLACED


def test_the_samples_that_come_along_are_sound() -> None:
    bundle = load(read_folder(PROJECT))
    assert {
        "typical", "no-first-name", "very-long-names", "gift", "many-items", "late-order", "another-language",
        "right-to-left",
    } <= set(bundle.samples)  # fmt: skip
    assert bundle.samples["gift"].order.is_gift
    assert bundle.samples["no-first-name"].customer.first_name is None
    late = placed(bundle.samples["late-order"], datetime(2026, 3, 2, tzinfo=UTC)).order
    assert late.promised_at is not None
    assert late.delivered_at is not None
    assert late.delivered_at - late.promised_at >= timedelta(days=3)


def test_a_broken_sample_is_refused_and_takes_nothing_that_runs_away() -> None:
    files = {**FILES, f"{FOLDER}broken.yaml": "about: x\n"}
    with pytest.raises(BundleError, match="T102"):
        load(files)
    assert load_applied(files).samples == {}
