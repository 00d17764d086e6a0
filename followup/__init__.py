"""Follow up with customers after they buy: ask, listen, remember."""

__version__ = "0.1.0"
