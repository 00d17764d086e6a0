"""Other Message-IDs our letters went by: a provider may give a letter one of its own."""

from collections.abc import Collection

from sqlalchemy import Connection, select

from followup.store.schema import message_aliases, messages
from followup.store.types import insert_new


def add(conn: Connection, rfc_message_id: str, message_id: int) -> None:
    """Note that a message also goes by *rfc_message_id*, with its angle brackets; the first to claim it keeps it."""
    row = {"rfc_message_id": rfc_message_id, "message_id": message_id}
    insert_new(conn, message_aliases, [row], message_aliases.c.message_id)


def tokens(conn: Connection, rfc_message_ids: Collection[str]) -> dict[str, str]:
    """Return the token of the message behind each of *rfc_message_ids* that is an alias."""
    wanted = (
        select(message_aliases.c.rfc_message_id, messages.c.token)
        .join(messages, messages.c.id == message_aliases.c.message_id)
        .where(message_aliases.c.rfc_message_id.in_(list(rfc_message_ids)), messages.c.token.is_not(None))
    )
    return {row.rfc_message_id: row.token for row in conn.execute(wanted)}
