"""All faults of a campaign, by number: nothing of them is made before it is asked for."""

from __future__ import annotations

import random
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple, overload

from guestdbg.campaign import CampaignError
from guestdbg.faults.site import Place
from guestdbg.guest_campaign import Variation

if TYPE_CHECKING:
    from guestdbg.faults.models import FaultModel, Variant
    from guestdbg.faults.site import Site

__all__ = ["Fault", "FaultSpace", "Places"]


class Fault(NamedTuple):
    """One fault: a model, a place, and which of the faults that the model has there."""

    model: FaultModel
    place: Place
    variant: Variant

    @property
    def variation(self) -> Variation:
        """The change of the guest."""
        return self.model.variation(self.place, self.variant)

    @property
    def text(self) -> str:
        """What is changed and where, in one line."""
        target = f" of {self.variant.target}" if self.variant.target else ""
        bit = "" if self.variant.bit is None else f" bit {self.variant.bit}"
        return f"{self.model.name}{target}{bit} at {self.place.site}"


class Places(Sequence[Place]):
    """The executions of instructions, in the order of time.

    Args:
        sites: the instructions.
        when, which, vcpus: of each execution ``Place.when``, the number of its instruction in
            ``sites``, and its vCPU.
    """

    def __init__(
        self, sites: Sequence[Site], when: array[int], which: array[int], vcpus: array[int]
    ) -> None:
        self.sites = tuple(sites)
        self._when, self.which, self._vcpus = when, which, vcpus

    def __len__(self) -> int:
        return len(self._when)

    @overload
    def __getitem__(self, place: int) -> Place: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Place]: ...
    def __getitem__(self, place: int | slice) -> Place | Sequence[Place]:
        if isinstance(place, slice):
            return [self[n] for n in range(*place.indices(len(self)))]
        return Place(self._when[place], self.sites[self.which[place]], self._vcpus[place])

    def after(self, base: int) -> Places:
        """The same, counted from ``base`` instructions later on."""
        return Places(
            self.sites, array("Q", (n - base for n in self._when)), self.which, self._vcpus
        )


class _OfModel:
    """The faults of one model: those at the first place, then those at the second, and so on."""

    def __init__(self, model: FaultModel, places: Places) -> None:
        self.model = model
        self.variants = [tuple(model.variants(site)) for site in places.sites]
        counts = [len(each) for each in self.variants]
        #: How many faults there are up to and with each place.
        self._until = array("Q", accumulate(counts[site] for site in places.which))

    def __len__(self) -> int:
        return self._until[-1] if self._until else 0

    def fault(self, number: int, places: Places) -> Fault:
        at = bisect_right(self._until, number)
        first = self._until[at - 1] if at else 0
        return Fault(self.model, places[at], self.variants[places.which[at]][number - first])


class FaultSpace(Sequence[Variation]):
    """The variation of each case: ``space[number]``; ``space.fault(number)`` says what it is.

    Faults are in the order of the models, of time, and of the model's variants.

    Args:
        models: the models, prepared.
        places: the executions of instructions at which there are faults.
        samples: so many of all faults, chosen by chance; None: all.
        seed: of that chance.

    Attributes:
        total: how many faults there are of which the samples were chosen.

    Raises:
        CampaignError: there are no faults, or fewer than samples.
    """

    def __init__(
        self,
        models: Sequence[FaultModel],
        places: Places,
        samples: int | None = None,
        seed: int = 0,
    ) -> None:
        self.places = places
        self._models = [_OfModel(model, places) for model in models]
        self._until = list(accumulate(len(each) for each in self._models))
        self.total = self._until[-1] if self._until else 0
        if not self.total:
            raise CampaignError("there are no faults of these models at these instructions")
        self._chosen: array[int] | None = None
        if samples is not None:
            if type(samples) is not int or not 1 <= samples <= self.total:
                raise CampaignError(f"samples is {samples!r}: there are 1 to {self.total:,}")
            chance = random.Random(f"guestdbg faults {seed}")
            self._chosen = array("Q", sorted(chance.sample(range(self.total), samples)))

    @property
    def models(self) -> tuple[FaultModel, ...]:
        """The models, in the order of their faults."""
        return tuple(each.model for each in self._models)

    def __len__(self) -> int:
        return self.total if self._chosen is None else len(self._chosen)

    def fault(self, number: int) -> Fault:
        """The fault of a case. Raises IndexError: there is no such case."""
        if not 0 <= number < len(self):
            raise IndexError(f"there is no fault {number}: there are {len(self):,}")
        if self._chosen is not None:
            number = self._chosen[number]
        model = bisect_right(self._until, number)
        return self._models[model].fault(number - self._until[model - 1] * (model > 0), self.places)

    def faults(self) -> Iterator[Fault]:
        """The fault of each case."""
        return map(self.fault, range(len(self)))

    @overload
    def __getitem__(self, number: int) -> Variation: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Variation]: ...
    def __getitem__(self, number: int | slice) -> Variation | Sequence[Variation]:
        if isinstance(number, slice):
            return [self[n] for n in range(*number.indices(len(self)))]
        return self.fault(number + len(self) * (number < 0)).variation
