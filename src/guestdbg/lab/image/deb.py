"""Reads Debian packages (deb(5)): an ``ar`` archive with a compressed tar archive in it.

This needs neither dpkg nor root: the files are not installed but go into the image.
"""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from guestdbg.lab.errors import LabError

_AR_MAGIC = b"!<arch>\n"
_AR_HEADER = 60


def ar_members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(name, contents) of each member of an ar archive.

    Raises LabError if this is not an ar archive or if it is truncated.
    """
    if not data.startswith(_AR_MAGIC):
        raise LabError("not an ar archive")
    at = len(_AR_MAGIC)
    while at < len(data):
        header = data[at : at + _AR_HEADER]
        size_field = header[48:58].strip()
        if len(header) < _AR_HEADER or header[58:] != b"`\n" or not size_field.isdigit():
            raise LabError(f"invalid ar header at byte {at}")
        size = int(size_field)
        contents = data[at + _AR_HEADER : at + _AR_HEADER + size]
        if len(contents) < size:
            raise LabError(f"ar archive truncated at byte {len(data)}")
        yield header[:16].decode("latin-1").rstrip().rstrip("/"), contents
        at += _AR_HEADER + size + size % 2


def read_deb(path: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Each file of a package, with its contents (empty for all but regular files).

    Names have no leading "./". Raises LabError if the package is damaged, or compressed in a way
    that this Python cannot read.
    """
    try:
        members = dict(ar_members(path.read_bytes()))
    except LabError as error:
        raise LabError(f"{path.name} is not a Debian package: {error}") from None
    name = next((name for name in members if name.startswith("data.tar")), None)
    if name is None:
        raise LabError(f"{path.name} is not a Debian package: it has no data.tar")
    try:
        with tarfile.open(fileobj=io.BytesIO(members[name]), mode="r:*") as archive:
            for info in archive:
                info.name = info.name.removeprefix("./").rstrip("/")
                if not info.name or info.name == ".":
                    continue
                stream = archive.extractfile(info) if info.isreg() else None
                yield info, stream.read() if stream else b""
    except (tarfile.TarError, EOFError, OSError) as error:
        raise LabError(f"{path.name}: {name} cannot be read: {error}") from error
