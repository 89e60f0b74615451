"""Drives: their text, and files that can and cannot be used."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from guestdbg.machine.virtio import DriveError, DriveSpec, open_image, parse_drive
from tests.machine.virtio.disks import disk


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("a.img", DriveSpec("a.img")),
        ("a.img,readonly", DriveSpec("a.img", readonly=True)),
        ("a.img,overlay", DriveSpec("a.img", overlay=True)),
        ("a,,b.img,overlay", DriveSpec("a,b.img", overlay=True)),
        ("a,,,overlay", DriveSpec("a,", overlay=True)),
        ("a b=c.img", DriveSpec("a b=c.img")),
        (Path("x,readonly"), DriveSpec(Path("x,readonly"))),
        (DriveSpec("y"), DriveSpec("y")),
    ],
)
def test_a_drive_as_text(text: str, spec: DriveSpec) -> None:
    assert parse_drive(text) == spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it has no file; write FILE"),
        (",overlay", "it has no file; write FILE"),
        ("a.img,", "unknown option ''; the options are readonly and overlay"),
        ("a.img,ro", "unknown option 'ro'; the options are readonly and overlay"),
        ("a.img,readonly,overlay", "exclude each other"),
        ("file=a.img", "file= is QEMU's spelling; write the name of the file itself"),
        ("a.img,format=raw", "format= is QEMU's spelling: a disk is always a raw image"),
        ("a.img,snapshot=on", "snapshot= is QEMU's spelling: write overlay"),
    ],
)
def test_a_text_that_is_no_drive(text: str, message: str) -> None:
    with pytest.raises(DriveError, match=message):
        parse_drive(text)


def test_a_drive_of_wrong_types() -> None:
    with pytest.raises(DriveError, match="must be the path of a file"):
        DriveSpec(3)  # type: ignore[arg-type]
    with pytest.raises(DriveError, match="must be True or False"):
        DriveSpec("a", overlay="yes")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "the file is empty; truncate -s 1G"),
        (bytes(511), "511 bytes, which is not a multiple of 512: is it complete"),
        (bytes(513), "513 bytes, which is not a multiple of 512"),
        (b"QFI\xfb" + bytes(508), "a qcow2 image; .* qemu-img convert -O raw"),
        (b"KDMV" + bytes(508), "a vmdk image"),
    ],
)
def test_a_file_that_is_no_disk(tmp_path: Path, contents: bytes, message: str) -> None:
    path = tmp_path / "a.img"
    path.write_bytes(contents)
    for options in ("", ",readonly", ",overlay"):
        with pytest.raises(DriveError, match=message):
            open_image(parse_drive(f"{path}{options}"))
    assert path.read_bytes() == contents


def test_what_is_not_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, message in (
        (tmp_path / "none", "no such file"),
        (tmp_path, "a directory; it must be a regular file"),
        (tmp_path / "fifo", "a FIFO; it must be"),
        (Path("/dev/zero"), "a character device; it must be"),
        (tmp_path / "a" / "b", "no such file"),
        (Path("nul\0"), "cannot be opened"),
    ):
        for options in ("", ",overlay"):
            with pytest.raises(DriveError, match=message):
                open_image(parse_drive(f"{path}{options}"))


def test_a_file_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.img"
    disk(path)
    path.chmod(0o400)
    opened = os.open

    def as_a_user(name: str, flags: int, mode: int = 0o777) -> int:
        """Root may write any file; a user gets this error of the kernel."""
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
        return opened(name, flags, mode)

    monkeypatch.setattr(os, "open", as_a_user)
    with pytest.raises(DriveError, match=r"may not be written .*a\.img,overlay to keep"):
        open_image(DriveSpec(path))
    open_image(DriveSpec(path, overlay=True)).close()


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        ("", "", True),
        ("", ",overlay", True),
        ("", ",readonly", True),
        (",readonly", "", True),
        (",overlay", "", True),
        (",readonly", ",overlay", False),
        (",overlay", ",overlay", False),
    ],
)
def test_a_disk_in_use(tmp_path: Path, first: str, second: str, refused: bool) -> None:
    """By another process, and by another drive of this one."""
    path = tmp_path / "a.img"
    disk(path)
    code = (
        "import sys; from guestdbg.machine.virtio import *\n"
        "image = open_image(parse_drive(sys.argv[1])); print('ready', flush=True); input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, f"{path}{first}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        if refused:
            with pytest.raises(DriveError, match="another program has it in use"):
                open_image(parse_drive(f"{path}{second}"))
        else:
            open_image(parse_drive(f"{path}{second}")).close()
        other.communicate(b"\n")
    here = open_image(parse_drive(f"{path}{first}"))
    if refused:
        with pytest.raises(DriveError, match="in use"):
            open_image(parse_drive(f"{path}{second}"))
    here.close()
    open_image(parse_drive(f"{path}{second}")).close()


@pytest.mark.skipif(sys.platform != "linux", reason="QEMU locks images on Linux")
def test_qemu_has_it_in_use(tmp_path: Path) -> None:
    qemu = shutil.which("qemu-system-aarch64")
    if qemu is None:
        pytest.skip("qemu-system-aarch64 is not installed")
    path = tmp_path / "a.img"
    disk(path)
    arguments = [qemu, "-M", "virt", "-nographic", "-monitor", "stdio", "-serial", "none", "-S"]
    arguments += ["-net", "none", "-drive", f"file={path},format=raw,if=none,id=d"]
    arguments += ["-device", "virtio-blk-device,drive=d"]
    held = open_image(DriveSpec(path, overlay=True))
    result = subprocess.run(arguments, input=b"quit\n", capture_output=True, timeout=60)
    assert b'Failed to get "write" lock' in result.stderr
    held.close()
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdin is not None
            process.stdin.write(b"info block\n")  # answered when the devices are there
            process.stdin.flush()
            while b"a.img (raw)" not in process.stdout.readline():
                assert process.poll() is None
            for options in ("", ",overlay"):
                with pytest.raises(DriveError, match="another program has it in use"):
                    open_image(parse_drive(f"{path}{options}"))
        finally:
            process.kill()
    open_image(DriveSpec(path)).close()
