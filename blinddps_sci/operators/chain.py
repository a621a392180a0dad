"""One operator after the other: optics, then a detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from blinddps_sci.errors import ConfigError
from blinddps_sci.operators.base import Operator

__all__ = ["Chain"]


@dataclass(frozen=True, eq=False)
class Chain:
    """Operators in the order in which light meets them.

    Parameters
    ----------
    links : sequence of Operator
        Each but the first takes what the one before predicts as its ``image``.

    Raises
    ------
    ConfigError
        If there is no operator, a later one takes no ``image``, or two of them share another input.

    Examples
    --------
    A blurred image on large pixels: blind super-resolution.

    >>> from blinddps_sci.operators import Blur, Chain, Downsample
    >>> Chain([Blur(margin=4), Downsample(2, margin=3)]).inputs
    ('image', 'kernel')
    """

    links: Sequence[Operator]

    def __post_init__(self) -> None:
        if not self.links:
            raise ConfigError("a chain of no operators predicts nothing; give at least one")
        lacking = [type(link).__name__ for link in self.links[1:] if "image" not in link.inputs]
        if lacking:
            raise ConfigError(f"{', '.join(lacking)} takes no image, so that only the first can be one")
        if len(set(self.inputs)) < len(self.inputs):
            raise ConfigError(
                f"inputs {', '.join(self.inputs)}: an unknown belongs to one operator of a chain"
            )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the unknowns of all operators; ``image`` is the first one's."""
        first, *later = self.links
        return (*first.inputs, *(name for link in later for name in link.inputs if name != "image"))

    def forward(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        """Predict the data of the last operator; see `Operator.forward`."""
        first, *later = self.links
        seen = first.forward(unknowns)
        for link in later:
            seen = link.forward({**unknowns, "image": seen})
        return seen
