"""Measurements of the host provider, on a real arm64 KVM in the lab.

in_lab  what runs in the lab
rivals  QEMU and GDB for the lab
lab     the lab, as the measurements use it
exits.c the loop of exits in C
"""
