"""The instructions of guestdbg.kvm.host.caches, against an assembler; and whom they suffice."""

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from guestdbg.kvm.host import caches

COMPILER = shutil.which("aarch64-linux-gnu-gcc")
SOURCE = Path(caches.__file__)


def test_the_words_are_what_the_comments_say(tmp_path: Path) -> None:
    if COMPILER is None:
        pytest.skip("needs aarch64-linux-gnu-gcc")
    lines = re.findall(r"^    0x[0-9A-F]{8},  # (.+)$", SOURCE.read_text(), re.MULTILINE)
    assert len(lines) == len(caches.READ_CTR) + len(caches.MAKE_VISIBLE)
    source = tmp_path / "words.s"
    # A branch is written relative to itself.
    source.write_text(
        "\n".join(re.sub(r"b\.lo (-\d+)", r"b.lo .\1", line) for line in lines) + "\n"
    )
    subprocess.run([COMPILER, "-c", "-o", tmp_path / "words.o", source], check=True)
    with (tmp_path / "words.o").open("rb") as file:
        code = ELFFile(file).get_section_by_name(".text").data()
    assert struct.unpack(f"<{len(lines)}I", code) == caches.READ_CTR + caches.MAKE_VISIBLE


@pytest.mark.parametrize(
    ("ctr", "enough"),
    [
        (0x8444C004, True),  # Cortex-A57, A72: PIPT
        (0x84448004, False),  # Cortex-A53: VIPT
        (0xB4448004, True),  # DIC: nothing is to be invalidated
    ],
)
def test_which_caches_are_reached(ctr: int, enough: bool) -> None:
    assert caches.reaches_aliases(ctr) is enough
