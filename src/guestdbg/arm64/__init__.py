"""What the Arm architecture says: registers, encodings, syndromes, page tables, instructions.

Pure functions and constants; no state, no input or output. All else in guestdbg stands on it.
"""
