"""Processor models: sets of features with the identification of a processor.

A model is named, or a list of features: see `cpu_model`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from guestdbg.arm64.errors import UnknownName
from guestdbg.arm64.features import (
    FEATURES,
    ContradictingFeatures,
    check_features,
    feature,
    id_values,
    mandatory_since,
)

__all__ = ["CPU_MODELS", "DEFAULT_CPU", "CpuModel", "cpu_model"]

#: The default model of a software processor: all that it implements.
DEFAULT_CPU = "max"

# MIDR_EL1. Implementer 0 is reserved for software use; architecture 15: see the ID registers.
_MIDR_SOFTWARE = 0x000F_0470
_MIDR_A57_R1P0 = 0x411F_D070
_MIDR_A72_R0P3 = 0x410F_D083

#: What the registers say beside the features of the table. EL0, EL1, EL2 in AArch64 only;
#: 44 bits of physical address, 16 of ASID, granules of 4, 16 and 64 KB.
_BASE = {"ID_AA64PFR0_EL1": 0x0111, "ID_AA64MMFR0_EL1": 0x10_0024, "REVIDR_EL1": 0}

_CRYPTO = frozenset({"FEAT_AES", "FEAT_PMULL", "FEAT_SHA1", "FEAT_SHA256"})
_ALGORITHMS = frozenset({"FEAT_PACQARMA5", "FEAT_PACIMP"})


class CpuModel(NamedTuple):
    """What a processor is.

    Attributes:
        name: of the model; or the features of the list, joined by commas.
        features: the names of its features.
        midr: MIDR_EL1.
    """

    name: str
    features: frozenset[str]
    midr: int

    def __str__(self) -> str:
        return self.name

    @property
    def id_registers(self) -> dict[str, int]:
        """Name -> value of the registers that identify it, by these features and no others.

        ID_AA64DFR0_EL1 depends on the number of debug registers and is not among them.
        """
        return {"MIDR_EL1": self.midr, **id_values(self.features, _BASE)}

    @property
    def feature_names(self) -> list[str]:
        """The features, in the order of the table."""
        return [name for name in FEATURES if name in self.features]


_MODELS = (
    CpuModel("cortex-a57", mandatory_since((8, 0)) | _CRYPTO | {"FEAT_CRC32"}, _MIDR_A57_R1P0),
    CpuModel("cortex-a72", mandatory_since((8, 0)) | _CRYPTO | {"FEAT_CRC32"}, _MIDR_A72_R0P3),
    # The optional features are those of the processors that were built most, Cortex-A76 and
    # Neoverse N1.
    CpuModel(
        "armv8.2",
        mandatory_since((8, 2))
        | _CRYPTO
        | {"FEAT_FP16", "FEAT_DotProd", "FEAT_LRCPC", "FEAT_SSBS", "FEAT_SSBS2"}
        | {"FEAT_CSV2", "FEAT_CSV3"},
        _MIDR_SOFTWARE,
    ),
    # Of the two algorithms for pointer authentication the one that costs little: a kernel signs the
    # return address of each function. (QEMU's "max" has chosen so since version 10.)
    CpuModel("max", frozenset(FEATURES) - {"FEAT_PACQARMA5"}, _MIDR_SOFTWARE),
)

#: By name, the smallest first.
CPU_MODELS: dict[str, CpuModel] = {model.name: model for model in _MODELS}


def cpu_model(cpu: str | Iterable[str]) -> CpuModel:
    """The model of ``cpu="max"``, ``cpu="cortex-a57,lse"`` or ``cpu=["FEAT_LSE", "fp16"]``.

    Names are of features, and at most one is of a model, to which the features are added. Without a
    model they are added to what is mandatory in Armv8.0-A: floating point and Advanced SIMD. With
    the name of a feature may go ``FEAT_``; case does not matter. ``pauth`` alone means QARMA5.

    Raises:
        UnknownName: there is no such model or feature.
        ContradictingFeatures: no processor can have these features and no others.
    """
    names = cpu.split(",") if isinstance(cpu, str) else list(cpu)
    base: CpuModel | None = None
    added: set[str] = set()
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"cpu={cpu!r}: names of models and features are strings")
        model = CPU_MODELS.get(name.strip().lower())
        if model is None:
            added.add(_feature(name, alone=len(names) == 1))
        elif base is None:
            base = model
        else:
            raise ContradictingFeatures(
                f"{base.name} and {model.name}: one model can be named, and features beside it"
            )
    if base is not None and not added:
        return base
    features = (base.features if base is not None else mandatory_since((8, 0))) | added
    if "FEAT_PAuth" in features and not features & _ALGORITHMS:
        features |= {"FEAT_PACQARMA5"}
    elif added & _ALGORITHMS:
        features |= {"FEAT_PAuth"}
        if base is not None and not added >= _ALGORITHMS:
            features = features - _ALGORITHMS | added & _ALGORITHMS  # instead of the model's
    check_features(features)
    parts = [base.name] if base is not None else []
    parts += [it.short.lower() for name, it in FEATURES.items() if name in added]
    midr = base.midr if base is not None else _MIDR_SOFTWARE
    return CpuModel(",".join(parts) or "armv8.0", features, midr)


def _feature(name: str, *, alone: bool) -> str:
    try:
        return feature(name).name
    except UnknownName:
        shorts = [it.short.lower() for it in FEATURES.values()]
        what = "model or feature of the processor" if alone else "feature of the processor"
        raise UnknownName(what, name, [*CPU_MODELS, *shorts, *FEATURES]) from None
