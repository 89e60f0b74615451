"""Guests as targets of fuzzers."""
