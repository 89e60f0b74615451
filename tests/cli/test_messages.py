"""`run` says what the guest misses and why it does not go on; the log has it for programs."""

import json
import struct
from pathlib import Path

import pytest

from .guests import guestdbg

SET_VBAR = 0xD518C009
SKIP = (0xD538402A, 0x9100114A, 0xD518402A, 0xD69F03E0)  # elr_el1 += 4, by x10; eret
OFF = (0xD2B08000, 0xF2800100, 0xD4000002)  # x0 = 0x84000008; hvc: PSCI SYSTEM_OFF
LDG = 0xD9600020
LDADD = 0xB8210002
PCI = (0xD2A7E001, 0xB9400020)  # x1 = 0x3f000000; ldr w0, [x1]


def raw(path: Path, *code: int, handler: tuple[int, ...] = SKIP) -> str:
    """A raw guest at 0x40080000, with its vectors 4 KiB above."""
    start = struct.pack(f"<{len(code) + 2}I", 0x10008009, SET_VBAR, *code)  # adr x9, . + 0x1000
    image = bytearray(0x1800)
    image[: len(start)] = start
    image[0x1200 : 0x1200 + 4 * len(handler)] = struct.pack(f"<{len(handler)}I", *handler)
    path.write_bytes(image)
    return str(path)


@pytest.mark.parametrize("plain", ["", "1"])
def test_each_is_said_once_and_logged(tmp_path: Path, plain: str) -> None:
    guest = raw(tmp_path / "guest.bin", *PCI, *PCI, LDG, LDG, LDADD, *OFF)
    log = tmp_path / "log.jsonl"
    command = ("run", guest, "--kind", "raw", "--log", str(log), "--cpu", "cortex-a57")
    result = guestdbg(*command, GUESTDBG_PLAIN=plain)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("(ECAM), which this board does not have") == 1
    assert result.stderr.count("'ldg x0, [x1]'") == 1
    assert "-march=armv8-a+nomemtag" in result.stderr
    lse = "LSE: LDADD (this processor, cortex-a57, has no FEAT_LSE; cpu='max' has it)"
    summary = " ".join(result.stderr.split("\n--")[-1].split())
    assert f"UNDEFINED to the guest: MTE: LDG; {lse}" in summary
    events = [json.loads(line) for line in log.read_text().splitlines()]
    device, instruction, _, end = events
    assert (device["event"], device["address"]) == ("missing_device", "0x3f000000")
    assert (device["device"], device["aborted"]) == (
        "PCI Express configuration space (ECAM)",
        False,
    )
    assert instruction["event"] == "unimplemented_instruction"
    assert instruction["encoding"] == "0xd9600020"
    assert instruction["feature"] == "FEAT_MTE"
    assert instruction["build_with"] == "-march=armv8-a+nomemtag"
    assert end["event"] == "end"
    assert end["unimplemented"] == ["MTE: LDG", lse]


def test_trace_only_has_no_lines_for_people(tmp_path: Path) -> None:
    guest = raw(tmp_path / "guest.bin", *PCI, *OFF)
    result = guestdbg("run", guest, "--kind", "raw", "--log-only")
    assert "ECAM" not in result.stderr.split("--")[0]
    assert [json.loads(line)["event"] for line in result.stdout.splitlines()] == [
        "missing_device",
        "end",
    ]


def test_a_loop_of_exceptions_that_a_limit_ends(tmp_path: Path) -> None:
    nop = 0xD503201F
    guest = raw(tmp_path / "guest.bin", 0xD4000001, handler=(nop, nop, 0))
    result = guestdbg(
        *("run", guest, "--kind", "raw", "--max-instructions", "5000"),
        *("--vcpus", "2", "--log-only"),
    )
    assert result.returncode == 124
    end = json.loads(result.stdout.splitlines()[-1])
    assert [vcpu["status"] for vcpu in end["vcpus"]] == ["loop", "off"]
    assert "0x40080008" in end["vcpus"][0]["text"]
    assert "SVC" in result.stderr
    assert "vCPU 1: it is powered off" in result.stderr
    assert "lost" not in result.stderr
