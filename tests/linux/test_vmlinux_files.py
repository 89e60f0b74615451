"""What is taken for a vmlinux, and what is refused: small ELF files instead of a kernel's."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from guestdbg.linux import BadVmlinux, Vmlinux
from guestdbg.linux.vmlinux import build_ids
from guestdbg.machine import LoadError
from tests.debugger.compiled import GCC, needs_gcc

pytestmark = needs_gcc

SOURCE = """\
const char linux_banner[] = "Linux version 6.1.0-9-test (gcc) #1";
int jiffies;
void start_kernel(void) { jiffies++; }
"""
LINK = """\
SECTIONS { . = 0xffff800008000000; _text = .; .text : { *(.text) } .rodata : { *(.rodata*) }
/DISCARD/ : { *(.note.GNU-stack) } .notes : { *(.note*) } .data : { *(.data) *(.bss) } }
"""


def kernel(directory: Path, name: str = "vmlinux", source: str = SOURCE, *flags: str) -> Path:
    assert GCC is not None
    (directory / "init.c").write_text(source)
    (directory / "link.lds").write_text(LINK)
    common = ["-g", "-ffreestanding", "-nostdlib", "-static", "-Wl,--build-id", "-Wl,-T,link.lds"]
    subprocess.run(
        [GCC, *common, *flags, "-o", name, "init.c"], check=True, cwd=directory, timeout=60
    )
    return directory / name


def objcopy(*arguments: str | Path) -> None:
    tool = shutil.which("aarch64-linux-gnu-objcopy")
    assert tool is not None
    subprocess.run([tool, *map(str, arguments)], check=True, timeout=60)


def image_of(vmlinux: Path) -> bytes:
    """The kernel's bytes, as an Image has them."""
    image = vmlinux.with_suffix(".image")
    objcopy("-O", "binary", vmlinux, image)
    return image.read_bytes()


def test_it_is_compared_by_build_id(tmp_path: Path) -> None:
    found = Vmlinux(kernel(tmp_path))
    assert len(found.build_id) == 20
    assert found.release == "6.1.0-9-test"
    assert found.link_address == 0xFFFF_8000_0800_0000
    image = image_of(tmp_path / "vmlinux")
    assert build_ids(image) == [found.build_id]
    found.check(image)
    other = image_of(kernel(tmp_path, "other", SOURCE.replace("6.1.0-9", "6.1.0-10")))
    with pytest.raises(BadVmlinux) as caught:
        found.check(other)
    assert str(caught.value) == (
        f"{tmp_path}/vmlinux is of build {found.build_id.hex()} (6.1.0-9-test), the kernel in the "
        f"guest is of build {build_ids(other)[0].hex()} (6.1.0-10-test)"
    )


def test_a_kernel_without_a_build_id(tmp_path: Path) -> None:
    found = Vmlinux(kernel(tmp_path, "vmlinux", SOURCE, "-Wl,--build-id=none"))
    assert found.build_id == b""
    found.check(b"...Linux version 6.1.0-9-test (other gcc)")
    with pytest.raises(BadVmlinux, match=r"build unknown \(6\.1\.0-9-test\).* unknown \(6\.2\.0\)"):
        found.check(b"...Linux version 6.2.0 (gcc)")
    with pytest.raises(BadVmlinux, match=r"in the guest is of build unknown$"):
        found.check(b"")


def test_the_vdso_in_a_kernel_does_not_count() -> None:
    def note(byte: bytes) -> bytes:
        return b"\4\0\0\0\x14\0\0\0\3\0\0\0GNU\0" + byte * 20

    vdso = b"\x7fELF" + bytes(600) + note(b"v") + bytes(8000)
    assert build_ids(bytes(64) + vdso + note(b"k") + note(b"v")[:-1]) == [b"k" * 20, b"v" * 19]
    assert build_ids(vdso) == []


def test_the_debug_information_alone(tmp_path: Path) -> None:
    """As debug packages of other distributions have it: the sections of the kernel are empty."""
    path = kernel(tmp_path)
    image = image_of(path)
    objcopy("--only-keep-debug", path, tmp_path / "vmlinux.debug")
    found = Vmlinux(tmp_path / "vmlinux.debug")
    found.check(image)
    assert found.release == ""
    address = found.image.symbols.find("start_kernel").address
    assert found.image.lines.at(address).line == 3
    assert found.image.covers(address)


def test_without_debug_information(tmp_path: Path) -> None:
    path = kernel(tmp_path)
    objcopy("--strip-debug", path)
    assert not Vmlinux(path).image.has_types
    objcopy("--strip-all", path)
    with pytest.raises(BadVmlinux, match="neither debug information nor symbols: it has been"):
        Vmlinux(path)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "not an ELF file"),
        (b"MZ" + bytes(54) + b"ARM\x64" + bytes(60), "but an Image, which has no debug info"),
        (gzip.compress(b"\x7fELF", mtime=0), r"compressed \(gzip\): decompress it"),
        (b"\x7fELF" + bytes(10), "not a complete ELF file"),
        (None, "no such file"),
    ],
    ids=["empty", "image", "compressed", "truncated", "missing"],
)
def test_other_files(tmp_path: Path, contents: bytes | None, message: str) -> None:
    path = tmp_path / "vmlinux"
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(BadVmlinux, match=message):
        Vmlinux(path)


def test_for_another_architecture(tmp_path: Path) -> None:
    path = kernel(tmp_path)
    data = bytearray(path.read_bytes())
    data[18:20] = b"\x3e\0"
    path.write_bytes(data)
    with pytest.raises(BadVmlinux, match="not a 64-bit Arm file but x64"):
        Vmlinux(path)


def test_a_file_that_is_no_kernel(tmp_path: Path) -> None:
    path = kernel(tmp_path)
    objcopy("--strip-symbol=_text", path)
    with pytest.raises(BadVmlinux, match="it has no symbol _text"):
        Vmlinux(path)


def test_a_truncated_file(tmp_path: Path) -> None:
    path = kernel(tmp_path)
    data = path.read_bytes()
    for size in range(0, len(data), 997):
        path.write_bytes(data[:size])
        with pytest.raises(BadVmlinux):
            Vmlinux(path)


def test_a_guest_that_is_no_kernel(tmp_path: Path) -> None:
    pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")
    import guestdbg

    with pytest.raises(LoadError, match=r"not loaded from a Linux Image.*use_vmlinux"):
        guestdbg.load(bytes(64), kind="raw", provider="soft", vmlinux=kernel(tmp_path))
