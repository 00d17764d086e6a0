"""What a workflow means, checked before anybody is in it."""
