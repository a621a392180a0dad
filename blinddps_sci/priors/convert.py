"""Public checkpoints into safetensors.

Only state dicts of tensors are read; a pickle that would run code is refused. The
architecture is recognised by the keys and shapes.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from blinddps_sci.errors import OutputError, PriorError
from blinddps_sci.priors.store import PriorCard, save_denoiser
from blinddps_sci.priors.unet import PUBLISHED, UNet
from blinddps_sci.priors.wrap import VPDenoiser

__all__ = ["convert", "read_state_dict"]

_SIZES = {"image": 256, "kernel": 64, "tilt": 256, "imagenet": 256}


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the state dict in a ``.pt`` file without running anything in it.

    Raises
    ------
    PriorError
        If the file is missing, is no state dict, or asks for code to be run.
    """
    if not path.is_file():
        raise PriorError(f"no checkpoint at {path}")
    try:
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle fails in any way: IndexError, struct.error, ...
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PriorError(
            f"{path} is not a plain state dict of tensors and is not opened ({first[:160]})"
        ) from None
    plain = isinstance(state, dict) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    )
    if not plain or not state:
        raise PriorError(f"{path} holds no state dict; expected tensors by name, as guided diffusion saves")
    return state


def _recognise(state: dict[str, Tensor], path: Path) -> str:
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    closest, fewest = "", len(shapes)
    for name, config in PUBLISHED.items():
        with torch.device("meta"):
            expected = {key: tuple(t.shape) for key, t in UNet(config).state_dict().items()}
        if shapes == expected:
            return name
        different = {key for key in shapes.keys() | expected.keys() if shapes.get(key) != expected.get(key)}
        if len(different) < fewest:
            fewest = len(different)
            closest = f"{name!r} ({fewest} tensors differ, e.g. {min(different)})"
    near = f"; closest is {closest}" if closest else ""
    raise PriorError(
        f"{path} is none of the published architectures {', '.join(PUBLISHED)}{near}; networks trained "
        "with other flags (resblock_updown, channel_mult, ...) cannot be converted"
    )


def convert(source: Path, target: Path, *, licence: str = "not stated", overwrite: bool = False) -> PriorCard:
    """Convert a published ADM checkpoint to safetensors with a card; return the card.

    Raises
    ------
    PriorError
        If the file cannot be read safely or is none of the published architectures.
    OutputError
        If the target exists and ``overwrite`` is false, or its folder does not exist.
    """
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists; choose another name or give --overwrite")
    state = read_state_dict(source)
    name = _recognise(state, source)
    net = UNet(PUBLISHED[name])
    net.load_state_dict(state)
    card = PriorCard(
        role="image" if name == "imagenet" else name,
        net=PUBLISHED[name].as_dict(),
        parameterisation="vp",
        size=_SIZES[name],
        description=f"published {name} network, converted from {source.name}",
        licence=licence,
    )
    return save_denoiser(target, VPDenoiser(net), card, dtype=torch.float32)
