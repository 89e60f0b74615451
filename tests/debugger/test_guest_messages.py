"""Devices and instructions that a guest misses are said once each, and never without end."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence

import pytest

from guestdbg.check.assembler import NOP, b
from guestdbg.debugger import UnimplementedInstruction
from guestdbg.debugger.messages.extensions import describe

from .assembled import CODE, VECTORS, assembled

SET_VBAR = 0xD518C009
X9_VECTORS = 0xD2A00009 | (VECTORS >> 16) << 5
SKIP = (0xD538402A, 0x9100114A, 0xD518402A, 0xD69F03E0)  # elr_el1 += 4, by x10; eret
PRELUDE = (X9_VECTORS, SET_VBAR, 0xD2A00600, 0xD5181040)  # cpacr_el1 = 3 << 20


def run(code: Sequence[int], **options: object):
    guest = assembled([*PRELUDE, *code, b(0)], {0x200: SKIP}, **options)
    guest.run(max_instructions=20_000)
    return guest


def load_from(address: int) -> list[int]:
    """x1 = address; ldr w0, [x1]."""
    return [
        0xD2800001 | (address & 0xFFFF) << 5,
        0xF2A00001 | (address >> 16 & 0xFFFF) << 5,
        0xF2C00001 | (address >> 32 & 0xFFFF) << 5,
        0xB9400020,
    ]


@pytest.mark.parametrize(
    ("address", "name", "aborted"),
    [
        (0x0800_0000, "GIC distributor", False),
        (0x0801_0004, "GICv2 CPU interface", False),
        (0x080A_0008, "GICv3 redistributors", False),
        (0x0904_0000, "second UART (PL011)", True),
        (0x0905_0000, "SMMUv3", True),
        (0x0A00_0208, "virtio-mmio transport 1", False),
        (0x3F00_0000, "PCI Express configuration space (ECAM)", False),
        (0x40_1000_0000, "PCI Express configuration space (ECAM)", False),
        (0x0B00_0000, None, True),
    ],
)
def test_a_missing_device(address: int, name: str | None, aborted: bool, caplog) -> None:
    caplog.set_level(logging.WARNING)
    with run([*load_from(address), *load_from(address + 8)]) as guest:
        (missing,) = guest.messages.missing_devices
        assert (missing.address, missing.name) == (address, name)
        assert (missing.access, missing.aborted) == ("read", aborted)
        assert missing.pc == CODE + 4 * (len(PRELUDE) + 3)
        texts = [r.getMessage() for r in caplog.records if f"{address:#010x}" in r.getMessage()]
        assert len(texts) == 1
        expected = "where this board has nothing" if name is None else "this board does not have"
        assert expected in texts[0]
        assert f"{missing.pc:#x}" in texts[0]


def test_a_device_that_the_board_has_is_not_missing() -> None:
    with run(load_from(0x0900_0018)) as guest:
        assert guest.messages.missing_devices == []


def test_a_pair_is_missing_with_its_abort() -> None:
    """LDP has no syndrome: the direction is not known."""
    code = load_from(0x0800_0000)
    code[-1] = 0xA9400C22  # ldp x2, x3, [x1]
    with run(code) as guest:
        (missing,) = guest.messages.missing_devices
        assert (missing.name, missing.access, missing.aborted) == ("GIC distributor", None, True)


def test_a_guest_that_accesses_everything_is_bounded() -> None:
    # x1 = 0x10000000 downwards by pages: ldr w0, [x1]; sub x1, x1, #0x1000
    start = [0xD2A20001, 0xB9400020, 0xD1400421, b(-8)]
    heard: list[str] = []
    guest = assembled([*PRELUDE, *start], {0x200: SKIP})
    with guest:
        guest.messages.listener = lambda message, text: heard.append(text)
        guest.run(max_instructions=200_000)
        assert len(guest.messages.missing_devices) == len(heard) == 64


def test_a_listener_that_fails_changes_nothing(caplog) -> None:
    def listener(message: object, text: str) -> None:
        raise BrokenPipeError("gone")

    with assembled([*PRELUDE, *load_from(0x0B00_0000), b(0)], {0x200: SKIP}) as guest:
        guest.messages.listener = listener
        stop = guest.run(max_instructions=1000)
        assert stop.reason == "limit"
        assert guest.cpu.pc == CODE + 4 * (len(PRELUDE) + 4)
        assert "lost" in caplog.text


@pytest.mark.parametrize(
    ("encoding", "mnemonic", "extension", "option"),
    [
        (0x2E40FC00, "bfdot", "BF16: BFDOT", "-march=armv8-a"),
        (0x04200000, "add", "SVE: SVE instructions", "-march=armv8-a"),
        (0x4E284800, "aese", "AES: AESE", "-march=armv8-a"),
        (0xF8200020, "ldadd", "LSE: LDADD", "-mno-outline-atomics"),
        (0xDAC10020, "pacia", "PAuth: PACIA", "-mbranch-protection=none"),
        (0xD65F0BFF, "retaa", "PAuth: RETAA", "-mbranch-protection=none"),
        (0x9AC01020, "irg", "MTE: IRG", "-march=armv8-a+nomemtag"),
        (0xD9600020, "ldg", "MTE: LDG", "-march=armv8-a+nomemtag"),
        (0xF8BFC000, "ldapr", "LRCPC: LDAPR", "-march=armv8-a"),
        (0x5AC02000, "abs", "CSSC: ABS", "-march=armv8-a"),  # capstone does not know it
        (0xD5182100, "msr", "PAuth: MSR APIAKeyLo_EL1", "-mbranch-protection=none"),
    ],
)
def test_an_unimplemented_instruction(
    encoding: int, mnemonic: str, extension: str, option: str, caplog
) -> None:
    """Also where the guest handles the exception and goes on, as here."""
    caplog.set_level(logging.WARNING)
    with run([NOP, encoding, encoding, NOP], cpu="crc32") as guest:
        (found,) = guest.messages.unimplemented
        assert isinstance(found, UnimplementedInstruction)
        assert (found.encoding, found.mnemonic) == (encoding, mnemonic)
        assert found.pc == CODE + 4 * (len(PRELUDE) + 1)
        assert str(found.instruction) == extension
        assert option in (found.build_with or "")
        text = [r.getMessage() for r in caplog.records if mnemonic in r.getMessage()]
        assert len(text) == 1
        assert text[0].startswith(f"{extension}: ")
        assert found.extension in text[0]
        assert str(found.build_with) in text[0]
        assert f"{found.pc:#x}" in text[0]


@pytest.mark.parametrize("encoding", [0, 0x0000FFFF, 0xD4A00001, 0xD6BF03E0, 0xFFFFFFFF])
def test_what_is_undefined_everywhere_is_not_reported(encoding: int) -> None:
    """UDF, DCPS1, DRPS, and what is no instruction."""
    with run([encoding]) as guest:
        assert guest.messages.unimplemented == []


def test_random_encodings_are_bounded() -> None:
    rng = random.Random(11)
    # Encodings of SVE: all are unimplemented.
    code = [0x0400_0000 | rng.getrandbits(32) & 0xE1FF_FFFF for _ in range(600)]
    heard: list[str] = []
    guest = assembled([*PRELUDE, *code, b(0)], {0x200: SKIP})
    with guest:
        guest.messages.listener = lambda message, text: heard.append(text)
        guest.run(max_instructions=50_000)
        assert 0 < len(guest.messages.unimplemented) <= 32
        assert len(heard) == len(guest.messages.unimplemented)
        assert len({(m.mnemonic) for m in guest.messages.unimplemented}) == len(heard)


def test_every_encoding_can_be_described() -> None:
    rng = random.Random(5)
    for _ in range(20_000):
        found = describe(rng.getrandbits(32), 0x4000_0000)
        assert found is None or all(found[:2])


def test_the_processor_that_has_the_instruction_is_named() -> None:
    ldadd, ldg = 0xB8210002, 0xD9600020
    with run([ldadd, ldg], cpu="cortex-a57") as guest:
        lse, mte = guest.messages.unimplemented
        hint = "this processor, cortex-a57, has no FEAT_LSE; cpu='max' has it"
        assert lse.summary == f"LSE: LDADD ({hint})"
        assert hint in str(lse)
        assert mte.summary == "MTE: LDG"
        assert "cpu=" not in str(mte)
    with run([ldadd], cpu="max") as guest:
        assert guest.messages.unimplemented == []


def test_an_endless_guest_is_reported_while_it_runs() -> None:
    """It makes no exit of its own: the provider reports between its slices."""
    heard: list[str] = []
    with assembled([*PRELUDE, 0x9AC01020, b(-4)], {0x200: SKIP}) as guest:

        def listener(message: object, text: str) -> None:
            heard.append(text)
            guest.interrupt()

        guest.messages.listener = listener
        assert guest.run(timeout=60).reason == "interrupt"
        assert len(heard) == 1
