"""Intel HEX and Motorola S-records: text that says which bytes go where. Read by bincopy."""

from __future__ import annotations

from guestdbg.library_errors import raised_as
from guestdbg.machine.errors import LoadError, MalformedError

__all__ = ["parse"]


def parse(contents: bytes, name: str, what: str) -> tuple[int | None, list[tuple[int, bytes]]]:
    """The start address, if the file has one, and the pieces of memory: (address, bytes).

    Raises:
        MalformedError: a record is damaged, or two overlap. LoadError: bincopy is missing.
    """
    try:
        import bincopy
    except ImportError as error:
        raise LoadError(
            f"{name}: {what}, which is read with bincopy, and that is not installed "
            "(`pip install bincopy`); or convert it: `objcopy -I ihex -O binary` (or `-I srec`)"
        ) from error
    with raised_as(MalformedError, f"{name}: {what} that is damaged"):
        records = bincopy.BinFile()
        records.add(contents.decode("ascii"))
        pieces = [(int(s.address), bytes(s.data)) for s in records.segments]
        start = records.execution_start_address
    if not pieces:
        raise MalformedError(f"{name}: {what} without any data")
    return (None if start is None else int(start)), pieces
