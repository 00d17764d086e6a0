"""What an order looked like earlier: what a source reports, taken back to one moment."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from followup.core.order import VOID, OrderReport, OrderStatus

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
RANK = list(OrderStatus)
hours = st.integers(0, 50).map(lambda hour: START + timedelta(hours=hour))
maybe = st.none() | hours
reports = st.builds(
    OrderReport,
    source=st.just("csv"),
    external_id=st.just("1"),
    number=st.just("1"),
    status=st.sampled_from(OrderStatus),
    placed_at=st.just(START),
    paid_at=maybe,
    fulfilled_at=maybe,
    promised_at=maybe,
    delivered_at=maybe,
    cancelled_at=maybe,
)


def moments(report: OrderReport) -> dict[str, datetime | None]:
    return {
        name: getattr(report, name) for name in ("placed_at", "paid_at", "fulfilled_at", "delivered_at", "cancelled_at")
    }


@given(reports, hours)
def test_nothing_after_the_moment_is_known_and_all_before_it_is(report: OrderReport, moment: datetime) -> None:
    known = report.as_known_at(moment)
    assert moments(known) == {
        name: at if at is not None and at <= moment else None for name, at in moments(report).items()
    }
    assert known.status in {status for status, at in report.milestones() if at <= moment}
    assert (known.promised_at, known.number) == (report.promised_at, report.number)


@given(reports, hours, hours)
def test_time_only_adds_to_what_is_known(report: OrderReport, one: datetime, other: datetime) -> None:
    earlier, later = report.as_known_at(min(one, other)), report.as_known_at(max(one, other))
    assert set(moments(earlier).items()) - {(n, None) for n in moments(earlier)} <= set(moments(later).items())
    assert RANK.index(earlier.status) <= RANK.index(later.status)
    assert later.as_known_at(min(one, other)) == earlier, "by two steps as by one"


@given(reports)
def test_in_the_end_all_is_known(report: OrderReport) -> None:
    known = report.as_known_at(datetime(2030, 1, 1, tzinfo=UTC))
    assert moments(known) == moments(report)
    assert known.milestones() == report.milestones() or report.status not in VOID
    assert known.status in {report.status, *(status for status, _ in report.milestones())}


@given(reports)
def test_milestones_are_in_order_of_time_and_each_status_is_reached_once(report: OrderReport) -> None:
    found = report.milestones()
    assert [at for _, at in found] == sorted(at for _, at in found)
    assert len({status for status, _ in found}) == len(found)
    assert (OrderStatus.PLACED, START) in found


def test_a_cancellation_without_a_time_is_the_last_thing_known() -> None:
    report = OrderReport(
        source="csv",
        external_id="1",
        number="1",
        status=OrderStatus.CANCELLED,
        placed_at=START,
        paid_at=START + timedelta(hours=3),
    )
    assert report.milestones()[-1] == (OrderStatus.CANCELLED, START + timedelta(hours=3))
    timed = replace(report, cancelled_at=START + timedelta(hours=1))
    assert [status.value for status, _ in timed.milestones()] == ["placed", "cancelled", "paid"]
    assert timed.as_known_at(START + timedelta(hours=9)).status is OrderStatus.CANCELLED
