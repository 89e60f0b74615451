"""Files of the guest: their paths."""

from __future__ import annotations

from guestdbg.linux.errors import CorruptedGuestData
from guestdbg.linux.memory import KernelMemory
from guestdbg.linux.processes.layout import KernelLayout

__all__ = ["Paths"]

_MAX_COMPONENTS = 512
_MAX_PATH = 4096
_MAX_NAME = 255


class Paths:
    """Paths of files, from their dentries and mounts.

    A name may change while the guest runs; a file that was unlinked keeps its last one.
    """

    def __init__(self, memory: KernelMemory, layout: KernelLayout, page_size: int) -> None:
        self._memory = memory
        self._layout = layout
        self.page_size = page_size

    def of_file(self, file: int) -> str:
        """The path of a ``struct file``. Raises CorruptedGuestData and AddressError."""
        layout = self._layout
        at = file + layout.field("file", "f_path").offset
        mount = self._memory.u64(at + layout.field("path", "mnt").offset)
        dentry = self._memory.u64(at + layout.field("path", "dentry").offset)
        return self._path(mount, dentry)

    def _path(self, vfsmount: int, dentry: int) -> str:
        layout, u64 = self._layout, self._memory.u64
        parent = layout.field("dentry", "d_parent").offset
        root = layout.field("vfsmount", "mnt_root").offset
        mount_point, mount_parent, inner = (
            layout.field("mount", name).offset for name in ("mnt_mountpoint", "mnt_parent", "mnt")
        )
        mount = vfsmount - inner
        names: list[str] = []
        for _ in range(_MAX_COMPONENTS):
            if dentry == u64(mount + inner + root):
                above = u64(mount + mount_parent)
                if above == mount:
                    break
                dentry, mount = u64(mount + mount_point), above
                continue
            upper = u64(dentry + parent)
            if upper == dentry:  # of no mount: a pipe, or memory of memfd_create()
                names.append(self._name(dentry))
                break
            names.append(self._name(dentry))
            dentry = upper
        else:
            raise CorruptedGuestData(f"the path of dentry {dentry:#x} has no end: a loop")
        return "/" + "/".join(reversed(names))[: _MAX_PATH - 1]

    def _name(self, dentry: int) -> str:
        at = dentry + self._layout.field("dentry", "d_name.name").offset
        return self._memory.string(self._memory.u64(at), _MAX_NAME)
