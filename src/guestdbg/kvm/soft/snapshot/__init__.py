"""Snapshots of a machine; no counterpart in the kernel.

changed_pages    in which pages a snapshot differs from an earlier one, for files
present_pages    which pages of memory the host has, by /proc/self/pagemap
serial           a snapshot as bytes, for files
snapshots        taking a snapshot, and restoring it
"""
