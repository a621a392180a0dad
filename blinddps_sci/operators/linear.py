"""Linearised maps: how a prediction answers to small changes of the unknowns, and the transpose.

A sampler that solves conditional least-squares problems takes the physics from here. Any
differentiable function has its linearisation by automatic differentiation; an operator that knows a
cheaper one offers it as its own method `linearise`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from blinddps_sci.operators.base import Given, Operator

__all__ = ["Linear", "Linearisable", "linearise", "linearise_operator"]


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear map from named changes to a change of the prediction, with its adjoint.

    Parameters
    ----------
    value : Tensor, (B, ...)
        The function's value where it was linearised.
    apply : callable
        From changes by name, each (B, ...), to (B, ...). Absent names do not change.
    adjoint : callable
        From (B, ...) and some names to the changes of these, each (B, ...).
    """

    value: Tensor
    apply: Callable[[Mapping[str, Tensor]], Tensor]
    adjoint: Callable[[Tensor, Collection[str]], dict[str, Tensor]]


@runtime_checkable
class Linearisable(Protocol):
    """An operator with a linearisation of its own."""

    def linearise(self, values: Mapping[str, Tensor]) -> Linear:
        """Return the linearisation about ``values``, each (B, ...) in physical units."""
        ...


def linearise(function: Callable[[Mapping[str, Tensor]], Tensor], point: Mapping[str, Tensor]) -> Linear:
    """Linearise a differentiable function about a point by automatic differentiation.

    Parameters
    ----------
    function : callable
        From tensors by name to one tensor.
    point : mapping of str to Tensor
        Where.

    Notes
    -----
    The forward direction differentiates the backward one, which is linear in the residual, so that
    one evaluation of the function serves every product.
    """
    with torch.enable_grad():
        inputs = {name: value.detach().requires_grad_() for name, value in point.items()}
        value = function(inputs)
        # The gradient does not depend on this tensor's value, only on its being a leaf.
        probe = torch.zeros_like(value, requires_grad=True)
        pulled = torch.autograd.grad(value, list(inputs.values()), probe, create_graph=True)
    names = list(inputs)

    def apply(changes: Mapping[str, Tensor]) -> Tensor:
        chosen = [i for i, name in enumerate(names) if name in changes]
        (pushed,) = torch.autograd.grad(
            [pulled[i] for i in chosen], probe, [changes[names[i]] for i in chosen], retain_graph=True
        )
        return pushed

    def adjoint(residual: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
        chosen = [inputs[name] for name in wanted]
        gradients = torch.autograd.grad(value, chosen, residual, retain_graph=True)
        return dict(zip(wanted, gradients, strict=True))

    return Linear(value.detach(), apply, adjoint)


def linearise_operator(operator: Operator, values: Mapping[str, Tensor]) -> Linear:
    """Return an operator's linearisation: its own where it has one, else the automatic one."""
    if isinstance(operator, Given):
        return linearise_operator(operator.operator, operator.complete(values))
    if isinstance(operator, Linearisable):
        return operator.linearise(values)
    return linearise(operator.forward, values)
