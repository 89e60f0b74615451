"""One file a measurement; each has a `MEASUREMENT`."""
