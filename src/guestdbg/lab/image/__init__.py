"""Builds the lab's kernel and initial file system in plain Python: without root, dpkg or cpio.

deb             reads Debian packages
deb_stream      reads one file of a large one from a stream
kernel_modules  reads kernel modules: what they depend on, in which order to load them
bytecode        compiles Python sources for the Python in the lab
host_python     a Python of the lab's version for that, if the host has none
cpio            writes cpio archives
initramfs       puts the base image and guestdbg's own archive together
"""
