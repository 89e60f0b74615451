"""The vmlinux of a debug package: over HTTPS a part of it, otherwise all of it, verified."""

import hashlib
import io
import urllib.request
from collections.abc import Callable
from dataclasses import replace

import pytest

from guestdbg.lab import LabError
from guestdbg.lab.fetch.debian_archive import Package
from guestdbg.lab.guests import vmlinux

from .test_deb import ar, tar

RELEASE = "6.1.0-9-cloud-arm64"
ELF = b"\x7fELF" * 5000
FILES = {
    "usr/lib/debug/boot/System.map": b"no",
    f"usr/lib/debug/boot/vmlinux-{RELEASE}": ELF,
    "usr/lib/debug/lib/modules/x.ko": b"no",
}
DEB = ar(("debian-binary", b"2.0\n"), ("data.tar.xz", tar(**FILES)))

Serve = Callable[[str, bytes], Package]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Has one URL answered with some bytes, and gives the package that the lists describe."""

    def serve(url: str, data: bytes) -> Package:
        def urlopen(asked: str, timeout: float) -> io.BytesIO:
            if asked != url:
                raise OSError("no answer")
            return io.BytesIO(data)

        monkeypatch.setattr(urllib.request, "urlopen", urlopen)
        return Package(url, len(DEB), hashlib.sha256(DEB).hexdigest(), [])

    return serve


def test_over_http_the_hash_is_compared(serve: Serve) -> None:
    out = io.BytesIO()
    vmlinux._copy(serve("http://mirror/linux.deb", DEB), RELEASE, out)
    assert out.getvalue() == ELF


@pytest.mark.parametrize("data", [DEB[:-1], DEB + b"x", DEB.replace(b"2.0", b"2.1")])
def test_over_http_another_file_is_refused(serve: Serve, data: bytes) -> None:
    package = serve("http://mirror/linux.deb", data)
    with pytest.raises(LabError, match=r"mirror/linux\.deb: it is not the file that Debian's"):
        vmlinux._copy(package, RELEASE, io.BytesIO())


def test_no_answer(serve: Serve) -> None:
    package = replace(serve("http://mirror/linux.deb", DEB), url="http://other/linux.deb")
    with pytest.raises(LabError, match=r"other/linux\.deb cannot be downloaded: no answer"):
        vmlinux._copy(package, RELEASE, io.BytesIO())


def test_a_package_without_the_file(serve: Serve) -> None:
    with pytest.raises(LabError, match="does not have the file"):
        vmlinux._copy(serve("http://mirror/linux.deb", DEB), "6.1.0-10", io.BytesIO())
