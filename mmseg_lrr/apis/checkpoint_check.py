# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Whether a checkpoint is one of the network that a config says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

#: What only training reads: a checkpoint may leave it out.
_TRAINING_ALONE = ('auxiliary_head.', 'decode_head.dilation.', 'decode_head.erosion.')
_MOST_LISTED = 5


def check_checkpoint(model: nn.Module, checkpoint: str | Path) -> None:
    """Refuse a checkpoint of another network.

    The toolbox loads what fits and warns of the rest, which stays random: figures and pictures of
    it mean nothing.

    Args:
        model: segmentor, or a multi-scale model around one.
        checkpoint: file or address.

    Raises:
        ValueError: naming the parameters of the segmentor that the checkpoint lacks, or has in
            another shape or without data. Parameters that only training reads (auxiliary heads,
            DE branches) may be missing.
    """
    segmentor = getattr(model, 'module', model)
    loaded = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu', logger='silent')
    # The ways in which the toolbox accepts weights: alone, or as saved by parallel training.
    saved = loaded.get('state_dict', loaded) if isinstance(loaded, Mapping) else loaded
    if not isinstance(saved, Mapping):
        raise ValueError(f'checkpoint {checkpoint} must hold weights by their names, got a '
                         f'{type(saved).__name__}')
    for name in saved:
        if not isinstance(name, str):
            raise ValueError(f'checkpoint {checkpoint} has weights named {name!r}, which is no '
                             'text')
    saved = {name.removeprefix('module.'): value for name, value in saved.items()}
    wrong = []
    for name, parameter in segmentor.named_parameters():
        expected = tuple(parameter.shape)
        if name not in saved:
            if not name.startswith(_TRAINING_ALONE):
                wrong.append(f'{name} {expected} is missing')
        elif (got := _describe(saved[name])) != str(expected):
            wrong.append(f'{name} is {got}, expected {expected}')
    if wrong:
        more = len(wrong) - _MOST_LISTED
        listed = '; '.join(wrong[:_MOST_LISTED]) + (f'; and {more} more' if more > 0 else '')
        raise ValueError(f'checkpoint {checkpoint} is not one of the network in the config: '
                         f'{listed}')


def _describe(value: Any) -> str:
    """A tensor's shape, or what else a value is."""
    if not isinstance(value, Tensor):
        return f'a {type(value).__name__}'
    shape = str(tuple(value.shape))
    return f'{shape} without data' if value.is_meta else shape
