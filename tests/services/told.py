"""What a replay left behind, in a form in which two databases can be compared."""

from sqlalchemy import Engine, select

from followup.store import schema
from followup.store.engine import make_engine, reading

TOLD = {
    "enrollments": "workflow state step phase since wake_at entered_at ended_at outcome",
    "messages": "workflow step round letter state postponed_since due_at not_after accepted_at reason question purpose",
    "decisions": "at workflow step round verdict gate reason values until",
    "events": "kind occurred_at",
    "answers": "letter answer at",
    "replies": "text received_at returns_on",
    "conversations": "opened_at closed_at",
}


def told(engine: Engine) -> dict[str, list[tuple]]:
    """Return what a replay left, without what names rows (ids, tokens) and by whom they were worked on."""
    found = {}
    orders = schema.orders
    with reading(engine) as conn:
        for name, columns in TOLD.items():
            table = schema.metadata.tables[name]
            wanted = select(*(table.c[column] for column in columns.split()))
            if "order_id" in table.c:
                wanted = wanted.add_columns(orders.c.number).join(orders, table.c.order_id == orders.c.id)
            found[name] = sorted((tuple(row) for row in conn.execute(wanted)), key=repr)
    return found


def told_by(url: str) -> dict[str, list[tuple]]:
    engine = make_engine(url)
    try:
        return told(engine)
    finally:
        engine.dispose()
