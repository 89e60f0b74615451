"""Small guests for faults, assembled when a test runs, and campaigns with them."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import guestdbg
from guestdbg.debugger import Guest
from guestdbg.faults import FaultCampaign
from guestdbg.guest_campaign import CaseRun
from tests.debugger.compiled import compiled

HEAD = """
	.arch armv8.2-a
	.text
	.balign 0x800
	.global vectors
vectors: .skip 0x200
	b .
	.skip 0x5fc
	.macro function name
	.global \\name
	.type \\name, %function
\\name:
	.endm
	.macro end name
	.size \\name, . - \\name
	.endm
"""

#: What a skip of each instruction of `check` leads to is in test_fault_campaign.py.
CHECK = (
    HEAD
    + """
	function main
	adr	x1, vectors
	msr	vbar_el1, x1
	isb
	mov	w0, #4
	bl	check
	cbz	w0, 1f
	b	open
1:	b	closed
	end main

	function check
	cmp	w0, #5
	b.ne	2f
	mov	w0, #1
	ret
2:	mov	w0, #0
	ret
	end check

	function noticed
	b	.
	end noticed
	function open
	b	.
	end open
	function closed
	b	.
	end closed
"""
)

#: A loop, a call out of it and an exception that is taken on purpose: `twice` is executed 3 times.
LOOP = (
    HEAD.replace(".skip 0x200\n\tb .", ".skip 0x200\n\tb handler")
    + """
	function main
	adr	x1, vectors
	msr	vbar_el1, x1
	isb
	mov	w19, #3
	mov	w20, #0
	adrp	x21, word
	add	x21, x21, :lo12:word
1:	bl	twice
	svc	#0
	subs	w19, w19, #1
	b.ne	1b
	b	closed
	end main

	function twice
	add	w20, w20, #2
	str	w20, [x21]
	ret
	end twice

	function handler
	add	w22, w22, #1
	eret
	end handler

	function closed
	b	.
	end closed
	.data
	.global word
	.type word, %object
word:	.word 0
	.size word, 4
"""
)


def guest_at(path: Path, where: str = "main") -> Guest:
    guest = guestdbg.load(path, provider="soft", console=None, memory="8M")
    if where:
        stop = guest.run(until=guest.symbol(where).address, max_instructions=1_000_000)
        assert stop.reason == "until"
    return guest


def assembled(directory: Path, text: str) -> Path:
    return compiled(directory, {"main.S": text})


def campaign(
    path: Path, directory: Path, faults: Any = None, *, start: str = "main", **options: Any
) -> FaultCampaign:
    """A campaign that this process has run."""
    with guest_at(path, start) as guest:
        made: FaultCampaign = guest.fault_campaign(directory, faults, **options)
    made.run(workers=0)
    return made


def outcomes(made: FaultCampaign) -> list[str]:
    """By case."""
    found: list[str] = made.to_arrow().column("outcome").to_pylist()
    return found


# ---- straight-line programs ------------------------------------------------------------------

_DATA_REGISTERS = range(12)


def _operation(chance: random.Random) -> str:
    """An instruction of a few kinds, with registers x0 to x11; x12 is the address of 256 bytes."""
    d, n, m = (f"x{chance.choice(_DATA_REGISTERS)}" for _ in range(3))
    wide = chance.randrange(2)
    if not wide:
        d, n, m = (each.replace("x", "w") for each in (d, n, m))
    at = 8 * chance.randrange(30)
    return chance.choice(
        (
            f"add {d}, {n}, {m}",
            f"subs {d}, {n}, #{chance.randrange(4096)}",
            f"eor {d}, {n}, {m}, lsl #{chance.randrange(31)}",
            f"adc {d}, {n}, {m}",
            f"csel {d}, {n}, {m}, {chance.choice(('eq', 'lt', 'hi', 'vs'))}",
            f"movk {d}, #{chance.randrange(65536)}",
            f"bfi {d}, {n}, #3, #9",
            f"madd {d}, {n}, {m}, {d}",
            f"ldr {d}, [x12, #{at}]",
            f"str {d}, [x12, #{at}]",
            f"ldp {d}, {_other(d)}, [x12, #{at}]",
            f"ldrsb {d}, [x12, #{at + 3}]",
            f"ldrh {d.replace('x', 'w')}, [x12, #{at + 2}]",
            f"strb {d.replace('x', 'w')}, [x12, #{at + 5}]",
        )
    )


def _other(register: str) -> str:
    return f"{register[0]}{(int(register[1:]) + 1) % len(_DATA_REGISTERS)}"


def straight_line(seed: int, length: int = 30) -> str:
    """A program whose instructions are executed once, from `line` to `closed`."""
    chance = random.Random(seed)
    lines = [_operation(chance) for _ in range(length)]
    first = [f"ldr x{n}, ={chance.getrandbits(64):#x}" for n in _DATA_REGISTERS]
    data = ", ".join(f"{chance.randrange(256):#x}" for _ in range(256))
    body = "\n\t".join(lines)
    setup = "\n\t".join(first)
    return (
        HEAD
        + f"""
	function main
	adr	x13, vectors
	msr	vbar_el1, x13
	isb
	{setup}
	adrp	x12, data
	add	x12, x12, :lo12:data
	b	line
	end main
	.ltorg
	function line
	{body}
	end line
	function closed
	b	.
	end closed
	.data
	.balign 16
	.global data
	.type data, %object
data:	.byte {data}
	.size data, 256
"""
    )


def state(guest: Guest, *, memory: bool = True) -> str:
    """All that the instructions of such a program can change, in a few letters."""
    values = [f"{value:x}" for value in (*list(guest.cpu.x)[:13], guest.cpu.pstate >> 28)]
    data = guest.read(guest.symbol("data").address, 256).hex() if memory else ""
    return hashlib.sha256(f"{values} {data}".encode()).hexdigest()


def by_state(run: CaseRun) -> str:
    """The state as the outcome: for a comparison of states."""
    return state(run.guest)


def by_registers(run: CaseRun) -> str:
    return state(run.guest, memory=False)
