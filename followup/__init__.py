"""Follow up with customers after they buy: ask, listen, remember."""
