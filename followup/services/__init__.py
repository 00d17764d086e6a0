"""The use cases: read facts, ask core, write the result, each in one short transaction."""
