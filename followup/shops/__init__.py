"""Where orders come from: one module per source, each filling what it knows of a Purchase."""
