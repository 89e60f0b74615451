from typing import Final

THREADED: Final[bool]  # built so that instructions jump to the next; False: with GUESTDBG_LOOP

row_names: list[str]  # of the decode table, in the order in which they were added

def seal() -> None: ...
def table() -> list[tuple[str, int, int]]:
    """(name, mask, value) of every row of the decode table."""
