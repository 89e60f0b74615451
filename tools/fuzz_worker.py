"""Runs cases in this process, and prints which, so that the parent knows where it died.

    fuzz_worker.py KIND FIRST COUNT [ACTIONS [LEFT-OUT,...]]

Prints a line when a case begins ("case KIND SEED"), one when it is over ("done KIND SEED
INSTRUCTIONS"), and "fail KIND SEED" with a traceback when a check fails; then it ends. At the end
it prints how often each kind of action was done ("did TIMES WHAT"). A case that does not end in
time is killed with a traceback (exit status 1); crashes print one, too. With ACTIONS it also prints
each action.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import random
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Collection
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import fuzz_btf
import fuzz_cpu
import fuzz_devices
import fuzz_files
import fuzz_framing
import fuzz_packets
import fuzz_soft
import fuzz_tiers
from fuzz_case import Case

from guestdbg.cpu import tier

if TYPE_CHECKING:
    from tests.cpu.translation_scenarios import World

ACTIONS = 24
SECONDS = 60  # for one case: hundreds of times what it takes

Tell = Callable[[str], None]
Run = Callable[[int, int, Collection[int], Tell], int]


DID: Counter[str] = Counter()


def _of(kind: type[Case]) -> Run:
    def run(seed: int, actions: int, leave_out: Collection[int], tell: Tell) -> int:
        case = kind(seed)
        instructions = case.run(actions, leave_out, tell)
        DID.update(case.did)
        return instructions

    return run


def _translation(seed: int, actions: int, leave_out: Collection[int], tell: Tell) -> int:
    """Random translation tables, compared with the tests' model."""
    from tests.cpu.translation_scenarios import Choices, scenario

    world = _world(tier.chosen()._replace(seed=None))
    before = world.p.instructions
    scenario(world, seed, Choices())
    return int(world.p.instructions - before)


@cache
def _world(_: tier.Choice) -> World:
    """Every scenario restores it, and setting it up takes longer than a scenario."""
    from tests.cpu.translation_scenarios import World

    return World()


def _pieces(seed: int, actions: int, leave_out: Collection[int], tell: Tell) -> int:
    """A random program in one run and in several, and with debug registers armed."""
    from tests.cpu.test_determinism import Armed, Guest, same

    whole, cut = Guest(seed), Guest(seed)
    whole.run()
    cut.run(random.Random(seed))
    same(whole, cut)
    plain, armed = Guest(seed, exclusives=False), Armed(seed, exclusives=False)
    plain.run()
    armed.run(random.Random(seed))
    same(plain, armed)
    return sum(guest.p.instructions for guest in (whole, cut, plain, armed))


def _simd(seed: int, actions: int, leave_out: Collection[int], tell: Tell) -> int:
    """A batch of SIMD and FP instructions, compared with Unicorn, which has no types."""
    instructions: int = import_module("tests.cpu.simd_cases").run(seed, DID)
    return instructions


def _tiers(seed: int, actions: int, leave_out: Collection[int], tell: Tell) -> int:
    """A case with the interpreter and with stencils, compared."""
    return fuzz_tiers.run(seed, actions, leave_out, tell, DID)


def _packets(seed: int, actions: int, leave_out: Collection[int], tell: Tell) -> int:
    """Packets to sessions over real guests; fuzz_packets shrinks failures itself."""
    logging.disable(logging.ERROR)
    return fuzz_packets.run(seed, DID)


def _framing(seed: int, actions: int, leave_out: Collection[int], tell: Tell) -> int:
    """Streams of bytes, compared with the tests' model."""
    return fuzz_framing.run(seed, DID)


def _hits(seed: int, actions: int, leave_out: Collection[int], tell: Tell) -> int:
    """Points of every kind, evaluated both ways; fuzz_hits shrinks failures itself."""
    import fuzz_hits

    logging.disable(logging.ERROR)
    return fuzz_hits.run(seed, DID)


def _files(seed: int, actions: int, leave_out: Collection[int], tell: Tell) -> int:
    """Damaged and expensive files; fuzz_files shrinks failures itself."""
    return fuzz_files.run(seed, DID)


def _btf(seed: int, actions: int, leave_out: Collection[int], tell: Tell) -> int:
    """Damaged BTF; fuzz_btf shrinks failures itself."""
    return fuzz_btf.run(seed, DID)


KINDS: dict[str, Run] = {
    "cpu": _of(fuzz_cpu.CpuCase),
    "devices": _of(fuzz_devices.DeviceCase),
    "soft": _of(fuzz_soft.SoftCase),
    "translation": _translation,
    "pieces": _pieces,
    "simd": _simd,
    "tiers": _tiers,
    "packets": _packets,
    "framing": _framing,
    "hits": _hits,
    "files": _files,
    "btf": _btf,
}


def choose_tier(seed: int) -> None:
    """By the seed: the interpreter, or stencils, of each block or of blocks at random."""
    if os.environ.get("GUESTDBG_TIER"):
        return
    if seed % 4 == 0:
        tier.use("interpreter")
    elif seed % 4 == 1:
        tier.use("stencils", 1)
    else:
        tier.use("stencils", seed=seed)


def main(arguments: list[str]) -> int:
    kind, first, count = arguments[0], int(arguments[1]), int(arguments[2])
    actions = int(arguments[3]) if len(arguments) > 3 else ACTIONS
    leave_out = {int(n) for n in arguments[4].split(",")} if len(arguments) > 4 else set()
    faulthandler.enable()
    sys.path.append(str(Path(__file__).parents[1]))

    def tell(what: str) -> None:
        if len(arguments) > 3:
            print(f"  {what}", flush=True)

    for seed in range(first, first + count):
        print(f"case {kind} {seed}", flush=True)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        choose_tier(seed)
        try:
            instructions = KINDS[kind](seed, actions, leave_out, tell)
        except Exception:
            print(f"fail {kind} {seed}", flush=True)
            traceback.print_exc()
            return 2
        finally:
            faulthandler.cancel_dump_traceback_later()
        print(f"done {kind} {seed} {instructions}", flush=True)
    for what, times in sorted(DID.items()):
        print(f"did {times} {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
