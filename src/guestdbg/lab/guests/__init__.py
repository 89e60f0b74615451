"""Linux guests made from Debian's packages, without root and without running anything of them.

linux        a kernel, and an initial RAM file system with busybox
vmlinux      the kernel's vmlinux with its debug information
gdb_scripts  the kernel's own scripts for GDB
debian       a root file system of any packages, as a disk image
"""
