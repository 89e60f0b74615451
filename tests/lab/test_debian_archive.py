"""Packages from an archive over HTTP, for machines without apt: from a small local archive."""

import hashlib
import http.server
import lzma
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from guestdbg.lab import LabError
from guestdbg.lab.fetch import packages
from guestdbg.lab.fetch.debian_archive import Archive, parse

KERNEL = "linux-image-6.1.0-9-cloud-arm64"
NAMES = [
    *(KERNEL, "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib"),
    *("libc6", "zlib1g", "libexpat1", "libffi8", "libgcc-s1", "libbz2-1.0", "liblzma5"),
    "busybox-static",
]
META = {"linux-image-cloud-arm64": f"{KERNEL} (= 6.1)", "python3-minimal": "python3.11-minimal"}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def contents(name: str) -> bytes:
    return f"package {name}".encode()


def stanza(name: str, version: str, data: bytes, depends: str = "") -> str:
    return (
        f"Package: {name}\nVersion: {version}\nPre-Depends: dpkg (>= 1.17)\n"
        f"Depends: {depends or 'libc6 (>= 2.36), this-one | or-that (<< 3)'}\n"
        f"Filename: pool/{name}_1%3a{version}_arm64.deb\nSize: {len(data)}\n"
        f"SHA256: {hashlib.sha256(data).hexdigest()}\nDescription: of {name}\n more: text\n"
    )


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """(URL, directory) of an archive in which libc6 has a security update."""
    top = tmp_path / "mirror"
    for part, suite, names in (
        ("debian", "bookworm", [*NAMES, *META]),
        ("debian-security", "bookworm-security", ["libc6"]),
    ):
        version = "2" if "security" in part else "1"
        text = ""
        (top / part / "pool").mkdir(parents=True)
        for name in names:
            data = contents(name + version)
            (top / part / "pool" / f"{name}_1%3a{version}_arm64.deb").write_bytes(data)
            text += stanza(name, version, data, META.get(name, "")) + "\n"
        lists = top / part / "dists" / suite / "main" / "binary-arm64"
        lists.mkdir(parents=True)
        (lists / "Packages.xz").write_bytes(lzma.compress(text.encode()))

    def handler(*arguments: object, **options: object) -> Quiet:
        return Quiet(*arguments, directory=str(top), **options)  # type: ignore[arg-type]

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", top
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_the_lab_needs_without_apt(
    mirror: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guestdbg.lab.fetch.apt.available", lambda: False)
    monkeypatch.setattr("guestdbg.lab.fetch.debian_archive.MIRROR", mirror[0])
    packages.fetch("bookworm", tmp_path)
    found = {path.name: path.read_bytes() for path in tmp_path.glob("*.deb")}
    expected = {f"{name}_1%3a1_arm64.deb": contents(f"{name}1") for name in NAMES}
    del expected["libc6_1%3a1_arm64.deb"]
    expected["libc6_1%3a2_arm64.deb"] = contents("libc62")
    assert found == expected


def test_a_package_that_was_changed(mirror: tuple[str, Path], tmp_path: Path) -> None:
    archive = Archive("bookworm", mirror[0])
    path = mirror[1] / "debian" / "pool" / "zlib1g_1%3a1_arm64.deb"
    for data in (b"package zlib1X", b"package zlib1g", b"package zlib1g1 and more"):
        path.write_bytes(data)
        with pytest.raises(LabError, match=r"zlib1g.* (is not the file|is larger)"):
            archive.download(["zlib1g"], tmp_path)
    assert not list(tmp_path.glob("*.deb"))


def test_missing_packages_and_lists(mirror: tuple[str, Path], tmp_path: Path) -> None:
    archive = Archive("bookworm", mirror[0])
    with pytest.raises(LabError, match="have no package nothing"):
        archive.depends("nothing")
    (mirror[1] / "debian" / "pool" / "zlib1g_1%3a1_arm64.deb").unlink()
    with pytest.raises(LabError, match=r"zlib1g.* cannot be downloaded.*404"):
        archive.download(["zlib1g"], tmp_path)
    with pytest.raises(LabError, match=r"trixie-security.*cannot be downloaded.*404"):
        Archive("trixie", mirror[0])
    with pytest.raises(LabError, match=r"debian/dists/sid/.*cannot be downloaded.*404"):
        Archive("sid", mirror[0])


def test_unstable_has_no_security_updates(mirror: tuple[str, Path]) -> None:
    (mirror[1] / "debian" / "dists" / "bookworm").rename(mirror[1] / "debian" / "dists" / "sid")
    assert Archive("sid", mirror[0]).depends("python3-minimal") == ["dpkg", "python3.11-minimal"]


def test_no_server_answers() -> None:
    with pytest.raises(LabError, match=r"127.0.0.1:9/.*is there a network"):
        Archive("bookworm", "http://127.0.0.1:9")


def test_damaged_lists(mirror: tuple[str, Path]) -> None:
    for path in mirror[1].rglob("Packages.xz"):
        path.write_bytes(path.read_bytes()[:100] + b"nonsense")
    with pytest.raises(LabError, match=r"Packages.xz is damaged"):
        Archive("bookworm", mirror[0])


def test_a_stanza() -> None:
    (package,) = parse(
        stanza("x", "1", b"abc", "aa (>= 1), bb | cc, dd:any") + "\n\n", "u"
    ).values()
    assert package.depends == ["dpkg", "aa", "bb", "cc", "dd"]
    assert (package.url, package.size) == ("u/pool/x_1%253a1_arm64.deb", 3)
