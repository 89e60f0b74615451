"""The signature check that a skipped instruction defeats, and the one that it does not defeat."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
import sys
from pathlib import Path

import pytest

import guestdbg
from guestdbg.faults import FaultCampaign
from guestdbg.guest_campaign import Replay
from guestdbg.machine import Console
from tests.debugger.compiled import line_of
from tests.machine.guests import EXAMPLES

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")

PLAIN = (EXAMPLES / "secure-boot" / "plain.c").read_text()


def test_the_check_is_a_real_one() -> None:
    """The guest's own HMAC is that of Python, of the image as it is and as it was signed."""
    for name in ("secure-boot", "secure-boot-hardened"):
        with guestdbg.load(EXAMPLES / f"{name}.elf", console=None) as guest:
            stop = guest.run(until="hmac_sha256")
            assert stop.reason == "until"
            at = guest.cpu.x[3]
            guest.step_out()
            image = guest.symbol("image")
            key = guest.read(guest.symbol("device_key").address, 32)
            data = guest.read(image.address, image.size - 1)
            assert guest.read(at, 32) == hmac.digest(key, data, hashlib.sha256)
            signature = guest.read(guest.symbol("image_signature").address, 32)
            signed = data.replace(b"version 8", b"version 7")
            assert signature == hmac.digest(key, signed, hashlib.sha256)


@pytest.mark.parametrize("name", ["secure-boot", "secure-boot-hardened"])
def test_an_image_that_was_signed_starts(name: str) -> None:
    output = bytearray()
    with guestdbg.load(EXAMPLES / f"{name}.elf", console=Console(output.extend)) as guest:
        guest.run(until="main")
        image = guest.symbol("image")
        data = guest.read(image.address, image.size)
        guest.write(image.address, data.replace(b"version 8", b"version 7"))
        assert guest.run(timeout=60).reason == "exit"
    assert b"started: guestdbg example image, version 7" in output


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    directory = tmp_path_factory.mktemp("secure-boot")
    result = subprocess.run(
        [sys.executable, EXAMPLES / "secure-boot-faults.py", directory],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    return directory, result.stdout


def test_the_campaign_finds_the_places_by_source_line(example: tuple[Path, str]) -> None:
    directory, text = example
    plain = FaultCampaign(directory / "secure-boot")
    found = {(each.line, each.instruction.split()[0]) for each in plain.found("success")}
    call, zero = line_of(PLAIN, "if (check_signature("), line_of(PLAIN, "return 0;")
    assert found == {(call, "bl"), (call, "cbz"), (zero, "mov")}
    assert "success: skip at boot+" in plain.summary().failures[0].signature
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "return 0;" in text
    assert "secure-boot: 3 skipped instructions defeat the check" in text
    page = (directory / "secure-boot.html").read_text()
    assert "if (check_signature((const uint8_t *)image, image_size))" in page


def test_the_hardened_check_holds(example: tuple[Path, str]) -> None:
    directory, text = example
    hardened = FaultCampaign(directory / "secure-boot-hardened")
    outcomes = hardened.outcomes()
    assert outcomes["success"] == 0
    assert outcomes["detected"] > 0
    assert outcomes.total() == hardened.manifest.cases > 300
    assert "secure-boot-hardened: 0 skipped instructions defeat the check" in text


def test_what_was_found_happens_again(example: tuple[Path, str]) -> None:
    plain = FaultCampaign(example[0] / "secure-boot")
    for each in plain.found("success"):
        with Replay(plain, each.case) as again:
            assert again.result.outcome == "success"
            assert not again.differences
            assert again.guest.cpu.location.function == "start_image"
            # It can go back to the fault.
            again.guest.reverse_step(3)
            assert again.guest.cpu.location.function in ("boot", "check_signature")
