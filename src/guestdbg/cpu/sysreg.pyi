"""System registers: one table for the guest and for its EL2, the Python side."""

def table() -> list[tuple[str, int, int]]:
    """Every register: (name, encoding, access bits R0 1, W0 2, R1 4, W1 8)."""
