"""`python -m bench`: how fast guestdbg is, and its rivals beside it in the same run.

One file a measurement, in `bench.measurements`. Absolute figures belong to the machine they were
taken on; the ratios are what to compare.
"""
