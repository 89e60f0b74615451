"""System registers: the table that guest and Python face read and write."""

def table() -> list[tuple[str, int, int]]:
    """Every register: (name, encoding, access bits R0 1, W0 2, R1 4, W1 8)."""
