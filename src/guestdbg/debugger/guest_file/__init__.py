"""Files with the whole state of a guest: ``guest.save``, ``guestdbg.load`` and ``SavedGuest``.

What is in a file: how the board was made (``Manifest``), the state of the machine, its devices and
the debugger, the pages of memory that are not zero, and what guests write over disks with an
overlay. Not in it are the files of disks, which must be as they were, and ELF files with symbols,
unless they were given as bytes.

A file may have been made by anybody. It cannot make the host execute anything, and it opens only
disks whose whole contents it knows already (by their SHA-256), to be read. What reaches further,
semihosting and the network, must be asked for by whoever loads it.

manifest        how a saved guest's board was made
disks           its disks, which are not in the file
symbol_files    its files with symbols, which may be
debugger_state  what the debugger had to remember
writing         a guest becomes a file
saved_guest     a file becomes guests
"""

from guestdbg.debugger.guest_file.manifest import Manifest, SavedDrive, SavedImage
from guestdbg.debugger.guest_file.saved_guest import SavedGuest
from guestdbg.debugger.guest_file.writing import (
    SnapshotParts,
    guest_sections,
    save,
    snapshot_parts,
)

__all__ = [
    "Manifest",
    "SavedDrive",
    "SavedGuest",
    "SavedImage",
    "SnapshotParts",
    "guest_sections",
    "save",
    "snapshot_parts",
]
