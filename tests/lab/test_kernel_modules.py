"""The order of kernel modules, by the dependencies that they name."""

import lzma
import struct

import pytest

from guestdbg.lab import LabError
from guestdbg.lab.image.kernel_modules import built_in, load_order, modinfo, module_name, plain


def module(depends: str) -> bytes:
    """An ELF file with these dependencies in its .modinfo section."""
    names = b"\0.modinfo\0.shstrtab\0"
    info = b"license=GPL\0depends=" + depends.encode() + b"\0name=x\0"
    header = struct.pack(
        *("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 1, 183, 1, 0, 0, 64 + len(names + info), 0),
        *(64, 0, 0, 64, 3, 2),
    )
    section = struct.Struct("<IIQQQQIIQQ")
    table = section.pack(*[0] * 10)
    table += section.pack(1, 1, 0, 0, 64, len(info), 0, 0, 1, 0)
    table += section.pack(10, 3, 0, 0, 64 + len(info), len(names), 0, 0, 1, 0)
    return header + info + names + table


def test_what_a_module_says() -> None:
    assert modinfo(module("a,b")) == {"license": "GPL", "depends": "a,b", "name": "x"}


def test_each_after_what_it_needs() -> None:
    modules = {
        "console": module("virtio,virtio-ring"),
        "virtio_ring": module("virtio"),
        "virtio": module(""),
        "unused": module("console"),
    }
    assert load_order(["console", "virtio"], modules) == ["virtio", "virtio_ring", "console"]


def test_what_is_in_the_kernel_is_not_loaded() -> None:
    there = built_in(b"kernel/drivers/char/virtio-ring.ko\nkernel/drivers/virtio/virtio.ko\n")
    assert there == {"virtio_ring", "virtio"}
    modules = {"console": module("virtio,virtio-ring")}
    assert load_order(["console", "virtio"], modules, there) == ["console"]


def test_a_missing_module() -> None:
    with pytest.raises(LabError, match="no module virtio"):
        load_order(["console"], {"console": module("virtio")})


def test_modules_that_need_each_other() -> None:
    with pytest.raises(LabError, match="circle"):
        load_order(["a"], {"a": module("b"), "b": module("a")})


@pytest.mark.parametrize("contents", [b"", b"nonsense", b"\x7fELF" + bytes(60)])
def test_what_is_no_module(contents: bytes) -> None:
    with pytest.raises(LabError):
        load_order(["a"], {"a": contents})


def test_names_and_compression() -> None:
    assert module_name("lib/modules/6.1/kernel/virtio-ring.ko") == "virtio_ring"
    assert module_name("lib/modules/6.12/kernel/a.ko.xz") == "a"
    assert module_name("lib/modules/6.1/modules.order") is None
    assert plain("a.ko.xz", lzma.compress(b"elf")) == plain("a.ko", b"elf") == b"elf"
