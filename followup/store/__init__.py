"""SQL: the schema, and one module of query functions per table. Functions take a Connection and never commit."""
