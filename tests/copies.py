"""One database's rows in another: a story that many tests begin with is played once."""

from sqlalchemy import Connection, Engine, delete, func, insert, select, text

from followup.store.engine import reading, writing
from followup.store.schema import metadata

_DELETE = {table.name: delete(table) for table in metadata.sorted_tables}
_SELECT = {table.name: select(table) for table in metadata.sorted_tables}
_INSERT = {table.name: insert(table) for table in metadata.sorted_tables}


def copy_all(source: Engine, target: Engine) -> None:
    """Have *target* hold the rows of *source*, of whatever kind both are, and no others."""
    with reading(source) as old, writing(target) as new:
        for table in reversed(metadata.sorted_tables):
            new.execute(_DELETE[table.name])
        for table in metadata.sorted_tables:
            rows = [dict(row) for row in old.execute(_SELECT[table.name]).mappings()]
            if rows:
                new.execute(_INSERT[table.name], rows)
        if new.dialect.name == "postgresql":
            _count_on(new)


def _count_on(conn: Connection) -> None:
    """Have each sequence go on after the highest number that was given; SQLite does so by itself."""
    for table in metadata.sorted_tables:
        for column in table.primary_key:
            sequence = conn.scalar(select(func.pg_get_serial_sequence(table.name, column.name)))
            highest = conn.scalar(select(func.max(column))) if sequence else None
            if highest is not None:
                conn.execute(text("SELECT setval(:sequence, :highest)"), {"sequence": sequence, "highest": highest})
