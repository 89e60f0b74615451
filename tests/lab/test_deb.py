"""Debian packages are read as dpkg reads them, and damaged ones are refused."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from guestdbg.lab import LabError
from guestdbg.lab.image.deb import ar_members, read_deb


def ar(*members: tuple[str, bytes]) -> bytes:
    out = b"!<arch>\n"
    for name, data in members:
        out += f"{name:16}{0:<12}{0:<6}{0:<6}{'100644':8}{len(data):<10}`\n".encode()
        out += data + b"\n" * (len(data) % 2)
    return out


def tar(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:xz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo("./" + name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def test_a_small_package(tmp_path: Path) -> None:
    path = tmp_path / "x.deb"
    path.write_bytes(
        ar(("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", tar(a=b"A")))
    )
    assert [(info.name, data) for info, data in read_deb(path)] == [("a", b"A")]


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "not an ar archive"),
        (b"\x7fELF", "not an ar archive"),
        (ar(("data.tar.xz", tar(a=b"A" * 999)))[:-40], "truncated"),
        (ar(("debian-binary", b"2.0\n"))[:30], "invalid ar header"),
        (ar(("debian-binary", b"2.0\n")), "no data.tar"),
        (ar(("data.tar.xz", b"nonsense")), "cannot be read"),
        (ar(("data.tar.xz", tar(a=bytes(99999))[:-60])), "cannot be read"),
    ],
)
def test_damaged_packages(tmp_path: Path, contents: bytes, message: str) -> None:
    path = tmp_path / "x.deb"
    path.write_bytes(contents)
    with pytest.raises(LabError, match=message) as caught:
        list(read_deb(path))
    assert "x.deb" in str(caught.value)


def test_members_of_odd_length() -> None:
    members = [("a", b"1"), ("b", b"22"), ("c", b"")]
    assert list(ar_members(ar(*members))) == members


def test_dpkg_reads_the_same(lab_root: Path) -> None:
    """Every file of the packages that the lab is made of."""
    dpkg = shutil.which("dpkg-deb")
    if dpkg is None:
        pytest.skip("dpkg-deb is not installed")
    checked = 0
    for path in (lab_root / "debs-bookworm").glob("lib*.deb"):
        theirs = {}
        data = subprocess.run([dpkg, "--fsys-tarfile", path], capture_output=True, check=True)
        with tarfile.open(fileobj=io.BytesIO(data.stdout)) as archive:
            for info in archive:
                stream = archive.extractfile(info) if info.isreg() else None
                theirs[info.name.removeprefix("./").rstrip("/")] = stream.read() if stream else b""
        ours = {info.name: contents for info, contents in read_deb(path)}
        del theirs["."]
        assert ours == theirs
        checked += len(ours)
    assert checked > 500
