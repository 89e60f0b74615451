"""Debian's packages from its archive over HTTPS, for machines without apt.

The package lists give the SHA-256 of each package, which is checked. The lists themselves are
trusted because they come from Debian's server over HTTPS. Where there is apt, which checks
signatures, it is used instead.
"""

import hashlib
import http.client
import lzma
import re
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from guestdbg.lab.errors import LabError

MIRROR = "https://deb.debian.org"
_SECONDS = 60
_MOST = 512 << 20


@dataclass(frozen=True)
class Package:
    """One package in the lists: its URL, size in bytes, hash, and dependencies."""

    url: str
    size: int
    sha256: str
    depends: list[str]


class Archive:
    """The packages of one release (``suite``) for an architecture, security updates first."""

    def __init__(self, suite: str, mirror: str | None = None, architecture: str = "arm64") -> None:
        self._architecture = architecture
        self._packages: dict[str, Package] = {}
        mirror = mirror or MIRROR
        for part, distribution in distributions(suite):
            base = f"{mirror}/{part}"
            lists = f"{base}/dists/{distribution}/main/binary-{architecture}/Packages.xz"
            try:
                text = lzma.decompress(_get(lists, _MOST)).decode()
            except (lzma.LZMAError, UnicodeDecodeError) as error:
                raise LabError(f"{lists} is damaged: {error}") from error
            for name, package in parse(text, base).items():
                self._packages.setdefault(name, package)

    def depends(self, package: str) -> list[str]:
        """What ``package`` depends on directly, alternatives included."""
        return self.find(package).depends

    def download(self, packages: list[str], directory: Path) -> None:
        """Puts the packages' files into ``directory``, each checked against the lists."""
        for name in packages:
            package = self.find(name)
            data = _get(package.url, package.size)
            if len(data) != package.size or hashlib.sha256(data).hexdigest() != package.sha256:
                raise LabError(f"{package.url} is not the file that Debian's lists describe")
            (directory / urllib.parse.unquote(package.url.rpartition("/")[2])).write_bytes(data)

    def find(self, name: str) -> Package:
        """Where a package is; raises LabError if the lists do not have it."""
        try:
            return self._packages[name]
        except KeyError:
            raise LabError(
                f"Debian's lists for {self._architecture} have no package {name}"
            ) from None


def distributions(suite: str) -> list[tuple[str, str]]:
    """(part of Debian's archive, name in it) of everything in a release, newest first."""
    security = [("debian-security", f"{suite}-security")]
    # Unstable has no security part: its updates go into it directly.
    return [*([] if suite in ("sid", "unstable") else security), ("debian", suite)]


def parse(text: str, base: str) -> dict[str, Package]:
    """The packages of a Packages file. Of several versions the last one, which is the newest."""
    found = {}
    for stanza in text.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", stanza, re.MULTILINE))
        try:
            needs = f"{fields.get('Pre-Depends', '')},{fields.get('Depends', '')}"
            found[fields["Package"]] = Package(
                f"{base}/{urllib.parse.quote(fields['Filename'])}",
                int(fields["Size"]),
                fields["SHA256"],
                re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]+)", needs),
            )
        except (KeyError, ValueError):
            # Not a package to download, such as the blank lines at the end of the file.
            continue
    return found


def _get(url: str, most: int) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:
            data = answer.read(most + 1)
    except (OSError, http.client.HTTPException) as error:
        raise LabError(f"{url} cannot be downloaded (is there a network?): {error}") from error
    assert isinstance(data, bytes)
    if len(data) > most:
        raise LabError(f"{url} is larger than it should be ({most} bytes)")
    return data
