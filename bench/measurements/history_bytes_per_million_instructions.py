"""The memory that a history takes: Linux, booted to its prompt."""

from bench import linux_guest
from bench.measurement import Measurement


def run() -> float:
    booted = linux_guest.Prompt(history=True)
    try:
        return float(booted.guest.history.memory_size) / (booted.instructions() / 1e6)
    finally:
        booted.guest.close()


MEASUREMENT = Measurement(
    "history_bytes_per_million_instructions",
    "bytes",
    "guestdbg: what the history of Linux's boot takes, by million instructions",
    run,
    repeat=1,
    better="less",
)
