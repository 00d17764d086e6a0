"""The web process: hooks for the provider, pages for customers, health for the platform."""
