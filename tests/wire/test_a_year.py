"""Orders travel through PostgreSQL, Redis, two workers, a web process and a local SendGrid, and back."""

from pathlib import Path

from followup.authoring.acts_file import read_acts
from followup.authoring.starter import DEMO
from followup.core.order import Purchase
from followup.shops.csv_file import read_orders
from tests.wire.run import over_the_wire, replayed


def test_a_shop_on_the_wire_ends_with_the_record_of_its_replay(
    empty_postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    purchases = [one for one in read_orders(DEMO / "orders.csv") if isinstance(one, Purchase)]
    acts = read_acts(DEMO / "acts.yaml")
    travelled = over_the_wire(empty_postgres_url, redis_url, tmp_path, purchases, acts)
    assert travelled.told == replayed(f"sqlite:///{tmp_path / 'replay.db'}", tmp_path / "outbox", purchases, acts)
    assert set(travelled.sent) == travelled.recorded, "what the record says left is what the provider took"
    assert set(travelled.sent.values()) == {1}
    assert travelled.acts == len(acts)
    assert travelled.exit_codes == [0, 0]
    assert 0 < sum(travelled.by_worker) <= len(travelled.sent), "an event may be quicker than the answer"
