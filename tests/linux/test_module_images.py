"""Modules with their debug files: lines, types and names at the addresses where they are loaded.

The files are made here, with the build ID of the kernel's own modules; by `make soak` they are
Debian's.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import guestdbg
from guestdbg.debugger import InvalidLocation, NoDebugInfo, UnknownLine
from guestdbg.errors import GuestdbgError
from guestdbg.lab import LabError
from guestdbg.lab.guests.vmlinux import debian_module_files
from guestdbg.linux.module_images import _loaded_build_id, _section_addresses
from guestdbg.linux.state.modules import module_objects
from guestdbg.machine import LoadError

from .shell import SECONDS, Shell
from .support import load
from .workers import GCC

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

NAME = "overlay"
QUEUE = Path(__file__).parents[2] / "examples" / "queue.elf"
SOURCE = """
struct made { int kind; struct made *next; };
int here(struct made *made, int n)
{
    made->kind += n;
    return made->next != 0;
}
__attribute__((section(".init.text"))) int init_module(void) { return 0; }
__asm__(".section .note.gnu.build-id, \\"a\\", @note\\n"
        ".long 4, 20, 3\\n.asciz \\"GNU\\"\\n.byte BUILD_ID\\n.previous");
"""


def sections_of(shell: Shell) -> tuple[dict[str, int], bytes]:
    """Where the kernel has the sections of the module, and its build ID."""
    modules = module_objects(shell.guest.linux.state.view)
    module = next(each for each in modules if each.text("name") == NAME)
    sections = dict(_section_addresses(module))
    return sections, _loaded_build_id(module, sections)


def made(folder: Path, build: bytes, suffix: str = ".ko") -> Path:
    """A file of this build."""
    folder.mkdir(exist_ok=True)
    (folder / "made.c").write_text(SOURCE.replace("BUILD_ID", ",".join(map(str, build))))
    path = folder / f"{NAME}{suffix}"
    options = ["-g", "-O1", "-c", "-ffreestanding", "-x", "c"]
    subprocess.run([GCC, *options, "made.c", "-o", path], cwd=folder, check=True)
    return path


@pytest.mark.skipif(shutil.which(GCC) is None, reason=f"no {GCC}")
def test_where_and_as_long_as_it_is_loaded(
    shell: Shell, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    guest, linux = shell.guest, shell.guest.linux
    sections, build = sections_of(shell)
    text = int(shell.ask(f"cat /sys/module/{NAME}/sections/.text"), 16)
    assert sections[".text"] == text
    assert len(build) == 20
    notes = shell.ask(f"hexdump -v -e '1/1 \"%02x\"' /sys/module/{NAME}/notes/.note.gnu.build-id")
    assert notes.strip().endswith(build.hex())
    made(tmp_path / "other", bytes(20), ".ko.debug")
    linux.use_modules(tmp_path)
    assert not [image for image in guest.images if NAME in str(image.path)]
    assert f"{NAME}.ko.debug is of build {bytes(20).hex()}" in caplog.text
    made(tmp_path / "own", build)
    linux.use_modules(tmp_path)
    try:
        at = guest.symbol("here").address
        assert at == text
        assert str(guest.locate(at)) in ("here (made.c:4)", "here (made.c:5)")
        line = guest.break_("made.c:6")
        assert line.address in range(text, text + 0x40)
        pytest.importorskip("drgn")
        assert guest.program.type("struct made").size == 16
        # It is unloaded, and loaded elsewhere.
        assert shell.ask(f"rmmod {NAME}; echo gone") == "gone\n"
        assert not line.placed
        assert guest.locate(at).function is None
        with pytest.raises((UnknownLine, NoDebugInfo)):
            guest.break_("made.c:6")
        init = guest.break_(f"{NAME}:init_module")
        shell.type(f"insmod /modules/{NAME}.ko".encode())
        stop = guest.run(timeout=SECONDS)
        assert stop.hit is not None
        assert stop.hit.point is init
        assert line.placed
        assert guest.locate(line.address).line == 6
        init.delete()
        shell.to_prompt()
        there = int(shell.ask(f"cat /sys/module/{NAME}/sections/.text"), 16)
        assert guest.symbol("here").address == there
    finally:
        linux._module_images.close()
        linux.module_symbols.use_files(None)
        linux._module_images = None
    for point in guest.points:
        point.delete()
    with pytest.raises(InvalidLocation, match="is no folder"):
        linux.use_modules(tmp_path / "nothing")


@pytest.mark.soak
def test_debians_own_files(shell: Shell) -> None:
    guest, linux = shell.guest, shell.guest.linux
    suite = "bookworm" if linux.release.startswith("6.1") else "sid"
    try:
        folder = debian_module_files(["virtio_blk", "virtio_net"], suite)
    except LabError as error:
        pytest.skip(f"no files of modules: {error}")
    linux.use_modules(folder)
    try:
        for name in ("virtnet_probe", "virtblk_probe"):
            address = int(shell.ask(f"grep -w {name} /proc/kallsyms").split()[0], 16)
            location = guest.locate(address + 8).outermost
            assert location.function == name
            assert str(location.file).endswith((".c", ".h"))
        assert guest.program.type("struct virtnet_info").size > 100
    finally:
        linux._module_images.close()
        linux.module_symbols.use_files(None)
        linux._module_images = None


def test_of_a_guest_without_linux() -> None:
    with pytest.raises(LoadError, match=r"not loaded from a Linux Image.*use_modules"):
        guestdbg.load(QUEUE, modules=QUEUE.parent, console=None)


def test_from_the_start(tmp_path: Path) -> None:
    with load(modules=tmp_path) as guest:
        assert guest.linux._module_images.folder == tmp_path
        with pytest.raises(GuestdbgError, match="no"):
            guest.break_("made.c:6")
