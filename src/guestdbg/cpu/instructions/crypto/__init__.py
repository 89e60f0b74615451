"""The Cryptographic Extension (C4.1.96), without SM3 and SM4: integer operations, whatever the host has.

aes     AESE, AESD, AESMC, AESIMC
sha1    SHA1C, SHA1P, SHA1M, SHA1H, SHA1SU0, SHA1SU1
sha256  SHA256H, SHA256H2, SHA256SU0, SHA256SU1
sha512  SHA512H, SHA512H2, SHA512SU0, SHA512SU1
sha3    EOR3, BCAX, RAX1, XAR
"""
