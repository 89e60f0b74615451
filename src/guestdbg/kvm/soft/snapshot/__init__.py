"""Snapshots of a machine; no counterpart in the kernel.

present_pages    which pages of memory the host has, by /proc/self/pagemap
serial           a snapshot as bytes, for files
snapshots        taking a snapshot, and restoring it
"""
