"""The files with symbols of a saved guest: in the snapshot, or named in it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from guestdbg.debugger.errors import BadImage
from guestdbg.debugger.guest_file.manifest import SavedImage
from guestdbg.debugger.program.image import Image
from guestdbg.regular_file import read_regular_file

__all__ = ["found_image", "saved_image"]

_EMBEDDED_MAX: Final = 64 << 20


def saved_image(image: Image, with_contents: bool) -> SavedImage:
    """A file as a manifest has it; ``with_contents``: also what was not given as bytes."""
    given = image.contents if with_contents or image.given is not None else None
    if given is not None and len(given) > _EMBEDDED_MAX:
        given = None
    digest = hashlib.sha256(image.contents).hexdigest()
    return SavedImage(os.path.abspath(image.path), image.slide, digest, given)


def found_image(saved: SavedImage, debug_dirs: Sequence[Path]) -> Image:
    """The image again. Nothing is made of a file that is not the one that it was.

    Raises:
        BadImage: it is another one, or none.
        UnsuitableFile: it cannot be read.
    """
    path = Path(saved.path)
    contents = saved.contents
    if contents is None:
        contents = read_regular_file(path, what="file with the symbols")
    if hashlib.sha256(contents).hexdigest() != saved.digest:
        raise BadImage("it is another file now")
    return Image(path, saved.slide, debug_dirs, contents=saved.contents)
