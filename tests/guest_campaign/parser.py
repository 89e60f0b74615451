"""A guest with a parser to be tested, and its campaigns."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import guestdbg
from guestdbg.campaign import Case
from guestdbg.guest_campaign import CaseRun, ConsoleInput, Memory
from tests.debugger.compiled import compiled

SOURCE = """
typedef unsigned char u8; typedef unsigned int u32; typedef unsigned long u64;
#define UART ((volatile u32 *)0x09000000)
u8 buffer[64]; u32 length; u32 sum; u8 echo[16]; u64 steps;
static void put(const char *s) { while (*s) UART[0] = *s++; }
__asm__(".balign 0x800\\n.global vectors\\nvectors:\\n.skip 0x200\\nb .\\n.skip 0x5fc\\n");
extern char vectors[];
__attribute__((noinline)) void overflow(void) { __asm__ volatile(""); }
__attribute__((noinline)) void wild(u64 at) { *(volatile u32 *)at = 1; }
__attribute__((noinline)) void spin(void) { for (;;) steps++; }
__attribute__((noinline)) int parse(void) {
    u32 i;
    if (length < 4 || buffer[0] != 'C' || buffer[1] != 'M') return 1;
    for (i = 2; i < length; i++) {
        sum += buffer[i];
        if (buffer[i] == 0xf0 && buffer[i + 1] > 0x80) overflow();
        if (buffer[i] == 0xf1) wild(0x7000000000ul + buffer[i] * 4096);
        if (buffer[i] == 0xf2 && i % 2) spin();
        if (buffer[i] == 0xf3) put("assertion failed: x == 3\\n");
    }
    return 0;
}
__attribute__((noinline)) void read_line(void) {
    u32 n = 0;
    for (;;) {
        u32 c;
        while (UART[6] & 0x10) ;
        c = UART[0];
        if (c == '\\r' || n == sizeof echo - 1) break;
        echo[n++] = c;
    }
    if (echo[0] == 'B' && echo[3] == 'G') put("BUG\\n");
}
int main(void) {
    __asm__ volatile("msr vbar_el1, %0; isb" :: "r"(vectors));
    put("ready\\n");
    if (parse()) put("rejected\\n"); else put("parsed\\n");
    if (sum & 1) read_line();
    put("done\\n");
    return 0;
}
"""

POINTS = {"overflow": "crash"}
CONSOLE = {r"assertion failed: (.*)": "bug"}


_directories: list[Path] = []


@functools.cache
def elf() -> Path:
    """The guest, compiled once."""
    _directories.append(Path(tempfile.mkdtemp(prefix="parser")))
    return compiled(_directories[-1], {"parser.c": SOURCE})


def forget() -> None:
    """Remove the compiled guest."""
    elf.cache_clear()
    while _directories:
        shutil.rmtree(_directories.pop())


def started() -> guestdbg.Guest:
    """The guest where it begins to parse."""
    guest = guestdbg.load(elf(), provider="soft", console=None)
    assert guest.run(until="parse").reason == "until"
    return guest


def vary(case: Case) -> list[Any]:
    chance = case.random
    data = b"CM" + bytes(chance.choice(b"aaaabcd\xf0\xf1\xf2\xf3\x90") for _ in range(6))
    return [Memory("buffer", data, "length"), ConsoleInput(chance.choice([b"hello\r", b"BxxG\r"]))]


def classify(run: CaseRun) -> str | None:
    if run.case.number == 41:
        raise KeyError("forty-one")
    return "ok" if run.outcome == "exit" and b"done" in run.console else None


def campaign(
    directory: Path, cases: int | None = 200, vary: Callable[..., Any] | Any = vary, **options: Any
) -> Any:
    """A campaign of the guest."""
    settings: dict[str, Any] = {
        "points": POINTS,
        "console": CONSOLE | {"^BUG$": "bug"},
        "exceptions": True,
        "max_instructions": 20_000,
        "classify": classify,
    }
    with started() as guest:
        return guest.campaign(directory, vary, cases, **(settings | options))
