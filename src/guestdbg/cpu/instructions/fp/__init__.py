"""Scalar floating point (C4.1.96)."""
