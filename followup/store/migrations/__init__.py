"""Alembic migrations: forward only, run from empty on SQLite and PostgreSQL."""
