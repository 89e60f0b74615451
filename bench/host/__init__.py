"""Measurements of the host provider: on a real arm64 KVM, in the lab."""
