"""What is shown on terminals, as text with styles (rich's ``Text``).

disassembly  an instruction as text
hits         a hit on one line, and its callers
"""
