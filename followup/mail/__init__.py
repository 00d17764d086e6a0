"""Mail out: building a letter as a mail, and the transports that take it."""
