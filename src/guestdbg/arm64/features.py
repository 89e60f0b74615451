"""The features of the architecture that a processor may have (DDI 0487, A2 and D23.2).

A feature is what the fields of the identification registers state. The table holds the features of
Armv8-A that code at EL0 and EL1 can use. Those with instructions of their own, and those that are
not here at all, are in `extension_encodings`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.arm64 import idregs
from guestdbg.arm64.errors import ArchitectureError, UnknownName

if TYPE_CHECKING:
    from guestdbg.arm64.fields import Register

__all__ = [
    "FEATURES",
    "ContradictingFeatures",
    "Feature",
    "check_features",
    "feature",
    "features_of",
    "id_values",
    "mandatory_since",
]

#: A version of the architecture: (8, 2) is Armv8.2.
Version = tuple[int, int]


class ContradictingFeatures(ArchitectureError):
    """A set of features that no processor can have."""


class Feature(NamedTuple):
    """A feature.

    Attributes:
        name: as the manual writes it: ``FEAT_LSE``.
        what: what it adds, in a few words.
        fields: (register, field, value): each field has at least this value where it is present.
        requires: the features without which it may not be there.
        excludes: the features with which it may not be there.
        mandatory: the version of the architecture from which on every processor has it; None: none.
    """

    name: str
    what: str
    fields: tuple[tuple[str, str, int], ...]
    requires: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    mandatory: Version | None = None

    @property
    def short(self) -> str:
        """The name without ``FEAT_``."""
        return self.name.removeprefix("FEAT_")


_REGISTERS: dict[str, Register] = {
    register.name: register
    for register in (
        idregs.ID_AA64PFR0_EL1,
        idregs.ID_AA64PFR1_EL1,
        idregs.ID_AA64ISAR0_EL1,
        idregs.ID_AA64ISAR1_EL1,
        idregs.ID_AA64MMFR1_EL1,
        idregs.ID_AA64MMFR2_EL1,
    )
}


def _one(
    name: str,
    register: str,
    field: str,
    value: int,
    what: str,
    *requires: str,
    mandatory: Version | None = None,
) -> Feature:
    """A feature of one field; register without its ID_AA64 and _EL1."""
    place = (f"ID_AA64{register}_EL1", field, value)
    needed = tuple(f"FEAT_{it}" for it in requires)
    return Feature(f"FEAT_{name}", what, (place,), needed, mandatory=mandatory)


_ISAR1, _PFR0 = "ID_AA64ISAR1_EL1", "ID_AA64PFR0_EL1"

_ALL = (
    _one("FP", "PFR0", "FP", 0, "floating point", "AdvSIMD", mandatory=(8, 0)),
    _one("AdvSIMD", "PFR0", "AdvSIMD", 0, "Advanced SIMD", "FP", mandatory=(8, 0)),
    # AES 1, SHA2 1: what a further feature of the same field includes.
    _one("AES", "ISAR0", "AES", 1, "AES instructions", "AdvSIMD"),
    _one("PMULL", "ISAR0", "AES", 2, "PMULL of 64-bit polynomials", "AES"),
    _one("SHA1", "ISAR0", "SHA1", 1, "SHA1 instructions", "AdvSIMD", "SHA256"),
    _one("SHA256", "ISAR0", "SHA2", 1, "SHA256 instructions", "AdvSIMD", "SHA1"),
    _one("SHA512", "ISAR0", "SHA2", 2, "SHA512 instructions", "SHA1", "SHA256", "SHA3"),
    _one("SHA3", "ISAR0", "SHA3", 1, "SHA3 instructions", "SHA1", "SHA256", "SHA512"),
    _one("CRC32", "ISAR0", "CRC32", 1, "CRC32 instructions", mandatory=(8, 1)),
    _one("LSE", "ISAR0", "Atomic", 2, "atomic instructions", mandatory=(8, 1)),
    _one("RDM", "ISAR0", "RDM", 1, "SQRDMLAH and SQRDMLSH", "AdvSIMD", mandatory=(8, 1)),
    _one("LOR", "MMFR1", "LO", 1, "limited ordering regions", mandatory=(8, 1)),
    _one("PAN", "MMFR1", "PAN", 1, "privileged access never", mandatory=(8, 1)),
    _one("HPDS", "MMFR1", "HPDS", 1, "hierarchical permission disables", mandatory=(8, 1)),
    _one("PAN2", "MMFR1", "PAN", 2, "AT S1E1RP and AT S1E1WP", "PAN", mandatory=(8, 2)),
    _one("UAO", "MMFR2", "UAO", 1, "user access override", mandatory=(8, 2)),
    _one("DPB", "ISAR1", "DPB", 1, "DC CVAP", mandatory=(8, 2)),
    _one("RAS", "PFR0", "RAS", 1, "reliability extension: ESB", mandatory=(8, 2)),
    _one("TTCNP", "MMFR2", "CnP", 1, "common not private translations", mandatory=(8, 2)),
    _one("XNX", "MMFR1", "XNX", 1, "stage 2 execute-never by level", mandatory=(8, 2)),
    Feature(
        "FEAT_FP16",
        "half-precision arithmetic",
        ((_PFR0, "FP", 1), (_PFR0, "AdvSIMD", 1)),
        ("FEAT_FP", "FEAT_AdvSIMD"),
    ),
    _one("FHM", "ISAR0", "FHM", 1, "FMLAL and FMLSL", "FP16"),
    _one("DotProd", "ISAR0", "DP", 1, "SDOT and UDOT", "AdvSIMD", mandatory=(8, 4)),
    _one("FCMA", "ISAR1", "FCMA", 1, "complex numbers", "FP", "AdvSIMD", mandatory=(8, 3)),
    _one("JSCVT", "ISAR1", "JSCVT", 1, "FJCVTZS", "FP", mandatory=(8, 3)),
    _one("LRCPC", "ISAR1", "LRCPC", 1, "load-acquire RCpc: LDAPR", mandatory=(8, 3)),
    # That there is pointer authentication is said by the fields of its algorithm.
    Feature("FEAT_PAuth", "pointer authentication", (), mandatory=(8, 3)),
    Feature(
        "FEAT_PACQARMA5",
        "pointer authentication by QARMA5",
        ((_ISAR1, "APA", 1), (_ISAR1, "GPA", 1)),
        ("FEAT_PAuth",),
        ("FEAT_PACIMP",),
    ),
    Feature(
        "FEAT_PACIMP",
        "pointer authentication by an IMPLEMENTATION DEFINED algorithm",
        ((_ISAR1, "API", 1), (_ISAR1, "GPI", 1)),
        ("FEAT_PAuth",),
        ("FEAT_PACQARMA5",),
    ),
    _one("FlagM", "ISAR0", "TS", 1, "CFINV, RMIF, SETF8, SETF16", mandatory=(8, 4)),
    _one("DIT", "PFR0", "DIT", 1, "data independent timing", mandatory=(8, 4)),
    _one("TTST", "MMFR2", "ST", 1, "small translation tables", mandatory=(8, 4)),
    _one("SB", "ISAR1", "SB", 1, "the speculation barrier SB", mandatory=(8, 5)),
    _one("DPB2", "ISAR1", "DPB", 2, "DC CVADP", "DPB", mandatory=(8, 5)),
    _one("SSBS", "PFR1", "SSBS", 1, "PSTATE.SSBS", mandatory=(8, 5)),
    _one("SSBS2", "PFR1", "SSBS", 2, "MRS and MSR of SSBS", "SSBS", mandatory=(8, 5)),
    _one("BTI", "PFR1", "BT", 1, "branch target identification", mandatory=(8, 5)),
    _one("CSV2", "PFR0", "CSV2", 1, "no branch prediction across contexts", mandatory=(8, 5)),
    _one("CSV3", "PFR0", "CSV3", 1, "no speculative use of faulting loads", mandatory=(8, 5)),
)

#: By name.
FEATURES: dict[str, Feature] = {it.name: it for it in _ALL}

_FOLDED = {it.short.lower(): it for it in _ALL}


def feature(name: str) -> Feature:
    """The feature called ``FEAT_LSE``, ``lse`` or ``LSE``. Raises UnknownName."""
    folded = name.strip().lower().removeprefix("feat_")
    try:
        return _FOLDED[folded]
    except KeyError:
        raise UnknownName(
            "feature of this processor", name, [*FEATURES, *(it.short for it in _ALL)]
        ) from None


def mandatory_since(version: Version) -> frozenset[str]:
    """The features that every processor of this version of the architecture has."""
    return frozenset(it.name for it in _ALL if it.mandatory and it.mandatory <= version)


def check_features(names: Collection[str]) -> None:
    """Raises ContradictingFeatures for a set that breaks the architecture's rules."""
    for name in sorted(names):
        it = FEATURES[name]
        missing = [other for other in it.requires if other not in names]
        if missing:
            raise ContradictingFeatures(
                f"{name} ({it.what}) without {' and '.join(missing)}: it requires "
                f"{' and '.join(it.requires)}"
            )
        for other in it.excludes:
            if other in names:
                raise ContradictingFeatures(f"{name} and {other}: a processor has one of them")
    if "FEAT_PAuth" in names and not {"FEAT_PACQARMA5", "FEAT_PACIMP"} & {*names}:
        raise ContradictingFeatures(
            "FEAT_PAuth without an algorithm: it requires FEAT_PACQARMA5 or FEAT_PACIMP"
        )


def id_values(names: Iterable[str], base: dict[str, int]) -> dict[str, int]:
    """The identification registers of a processor with these features and no others of the table.

    base: register name -> value: what they say beside the table's features.
    """
    present = [FEATURES[name] for name in names]
    values = dict(base)
    for name, register in _REGISTERS.items():
        fields = {field: _absent(field) for field in _table_fields(name)}
        for it in present:
            for of, field, value in it.fields:
                if of == name:
                    before = fields[field]
                    # The signed fields (FP, AdvSIMD) say "absent" with 15.
                    fields[field] = value if before == 15 else max(before, value)
        values[name] = register.encode(base=values.get(name, 0), **fields)
    return values


def features_of(values: dict[str, int]) -> frozenset[str]:
    """The features that these values of identification registers state.

    A register that is not in ``values`` states nothing.
    """
    found = {
        it.name
        for it in _ALL
        if it.fields
        and all(
            register in values and _states(_REGISTERS[register].get(values[register], field), value)
            for register, field, value in it.fields
        )
    }
    if found & {"FEAT_PACQARMA5", "FEAT_PACIMP"}:
        found.add("FEAT_PAuth")
    return frozenset(found)


def _states(field: int, value: int) -> bool:
    """Whether a field of the table's kind says at least ``value``. 15 is -1 in signed fields."""
    return field != 15 and field >= value


def _table_fields(register: str) -> list[str]:
    """The fields of a register that belong to features of the table."""
    found = (field for it in _ALL for name, field, _ in it.fields if name == register)
    return list(dict.fromkeys(found))


def _absent(field: str) -> int:
    return 15 if field in ("FP", "AdvSIMD") else 0
