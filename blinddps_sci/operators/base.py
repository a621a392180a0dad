"""What an operator is: the physics that predicts the data from the unknowns.

Samplers call `forward` with every unknown in physical units, and a likelihood compares the
prediction with the data; an operator knows neither of the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from blinddps_sci.errors import ConfigError, InputError

__all__ = ["Given", "Operator"]


class Operator(Protocol):
    """A differentiable forward model, batched over B independent items."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the unknowns that `forward` takes."""
        ...

    def forward(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        """Predict the data.

        Parameters
        ----------
        unknowns : mapping of str to Tensor, each (B, ...)
            One value in physical units for each of `inputs`.

        Returns
        -------
        Tensor, (B, ...)
            What the detector would record without noise, in the data's unit.
        """
        ...


@dataclass(frozen=True, eq=False)
class Given:
    """An operator of which some inputs are known: the non-blind form of a blind problem.

    Parameters
    ----------
    operator : Operator
        The forward model.
    known : mapping of str to Tensor, each (1, ...) or (B, ...)
        Values in physical units of the inputs that are not to be found. One item serves all.
        B items are repeated, first to last, when a batch holds several draws of B problems.

    Raises
    ------
    ConfigError
        If the operator has no input of a known value's name.

    Examples
    --------
    >>> import torch
    >>> from blinddps_sci.operators import Blur, Given
    >>> psf = torch.full((1, 1, 3, 3), 1 / 9)
    >>> Given(Blur(margin=1), {"kernel": psf}).inputs
    ('image',)
    """

    operator: Operator
    known: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        unused = sorted(set(self.known) - set(self.operator.inputs))
        if unused:
            raise ConfigError(
                f"{', '.join(unused)} cannot be given: the operator takes {', '.join(self.operator.inputs)}"
            )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs that remain unknown."""
        return tuple(name for name in self.operator.inputs if name not in self.known)

    def forward(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        """Predict the data from the remaining unknowns; see `Operator.forward`.

        Raises
        ------
        InputError
            If a known value has a number of items that does not divide the batch.
        """
        return self.operator.forward(self.complete(unknowns))

    def complete(self, unknowns: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the unknowns with the known values added, one item for each of theirs."""
        like = next(iter(unknowns.values()), None)
        known = {
            name: value if like is None else _for_items(name, value, like)
            for name, value in self.known.items()
        }
        return {**unknowns, **known}


def _for_items(name: str, value: Tensor, like: Tensor) -> Tensor:
    """Return ``value`` with the device, the dtype and the number of items of ``like``."""
    draws, rest = divmod(len(like), len(value))
    if rest:
        raise InputError(
            f"the given {name} has {len(value)} items for a batch of {len(like)}; give one, or one per item"
        )
    moved = value.to(like)
    singles = (1,) * (value.ndim - 1)
    return moved.expand(len(like), *value.shape[1:]) if len(value) == 1 else moved.repeat(draws, *singles)
