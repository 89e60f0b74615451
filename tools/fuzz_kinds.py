"""The kinds of cases, each a function of a seed. `fuzz_job` runs them in workers."""

from __future__ import annotations

import functools
import logging
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Collection
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

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

if "asan" in os.environ.get("LD_PRELOAD", ""):
    # A library that is loaded so would not see the sanitizer's functions, which refuses it.
    # Capstone asks for it where there is the name, when a guest's message needs it.
    vars(os).pop("RTLD_DEEPBIND", None)

if TYPE_CHECKING:
    from tests.cpu.translation_scenarios import World

Tell = Callable[[str], None]
Did = Counter[str]
Run = Callable[[int, int, Collection[int], Tell, Did], int]


class Done(NamedTuple):
    """What a case has done.

    Attributes:
        instructions: that were executed; of some kinds packets, changes or accesses.
        did: how often each action was done.
    """

    instructions: int
    did: Counter[str]


def _of(kind: type[Case]) -> Run:
    def run(seed: int, actions: int, leave_out: Collection[int], tell: Tell, did: Did) -> int:
        case = kind(seed)
        instructions = case.run(actions, leave_out, tell)
        did.update(case.did)
        return instructions

    return run


def _translation(seed: int, actions: int, leave_out: Collection[int], tell: Tell, did: Did) -> int:
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


def _pieces(seed: int, actions: int, leave_out: Collection[int], tell: Tell, did: Did) -> int:
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


def _simd(seed: int, actions: int, leave_out: Collection[int], tell: Tell, did: Did) -> int:
    """A batch of SIMD and FP instructions, compared with Unicorn, which has no types."""
    instructions: int = import_module("tests.cpu.simd_cases").run(seed, did)
    return instructions


def _tiers(seed: int, actions: int, leave_out: Collection[int], tell: Tell, did: Did) -> int:
    """A case with the interpreter and with stencils, compared."""
    return fuzz_tiers.run(seed, actions, leave_out, tell, did)


def _packets(seed: int, actions: int, leave_out: Collection[int], tell: Tell, did: Did) -> int:
    """Packets to sessions over real guests; fuzz_packets shrinks failures itself."""
    return fuzz_packets.run(seed, did)


def _framing(seed: int, actions: int, leave_out: Collection[int], tell: Tell, did: Did) -> int:
    """Streams of bytes, compared with the tests' model."""
    return fuzz_framing.run(seed, did)


def _hits(seed: int, actions: int, leave_out: Collection[int], tell: Tell, did: Did) -> int:
    """Points of every kind, evaluated both ways; fuzz_hits shrinks failures itself."""
    import fuzz_hits

    return fuzz_hits.run(seed, did)


def _files(seed: int, actions: int, leave_out: Collection[int], tell: Tell, did: Did) -> int:
    """Damaged and expensive files; fuzz_files shrinks failures itself."""
    return fuzz_files.run(seed, did)


def _btf(seed: int, actions: int, leave_out: Collection[int], tell: Tell, did: Did) -> int:
    """Damaged BTF; fuzz_btf shrinks failures itself."""
    return fuzz_btf.run(seed, did)


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


#: Kinds in which the library warns all the time: of what random guests do that is not implemented.
_QUIET = ("soft", "tiers", "packets", "hits")


def run(kind: str, seed: int, actions: int, leave_out: Collection[int], tell: Tell) -> Done:
    """One case of a kind.

    Raises Failure, or whatever came out that should not have.
    """
    did: Counter[str] = Counter()
    if kind in _QUIET:
        logging.disable(logging.ERROR)
    choose_tier(seed)
    try:
        instructions = KINDS[kind](seed, actions, leave_out, tell, did)
    except Exception:
        forget()
        raise
    finally:
        # Cases of several kinds run in one process.
        logging.disable(logging.NOTSET)
    return Done(instructions, did)


def forget() -> None:
    """Make everything anew that cases share: a failure may have left anything in it."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("fuzz_", "tests.")):
            for value in list(vars(module).values()):
                if isinstance(value, functools._lru_cache_wrapper):
                    value.cache_clear()
