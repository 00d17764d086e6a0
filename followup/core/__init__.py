"""Pure decisions: values in, values out. No SQL, network, files, clock, randomness or logging."""
