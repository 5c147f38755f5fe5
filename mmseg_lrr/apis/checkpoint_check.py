# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Whether a checkpoint is one of the network that a config says."""

from collections.abc import Mapping
from pathlib import Path

from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from ..ops.weights import describe_weight

#: What only training reads: a checkpoint may leave it out.
_TRAINING_ALONE = ('auxiliary_head.', 'decode_head.dilation.', 'decode_head.erosion.')
_COUNTS = ('.num_batches_tracked', '.bases_loaded')
_MOST_LISTED = 5


def check_checkpoint(model: nn.Module, checkpoint: str | Path) -> None:
    """Refuse a checkpoint of another network.

    The toolbox loads what fits and warns of the rest, which stays random: figures and pictures of
    it mean nothing.

    Args:
        model: segmentor, or a multi-scale model around one.
        checkpoint: file or address.

    Raises:
        ValueError: naming the parameters and statistics of the segmentor, the basis functions
            among them, that the checkpoint lacks, or has in another shape or type, without data, or
            not finite. What only training reads (auxiliary heads, DE branches) may be missing.
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
    for name, own in segmentor.state_dict().items():
        shape = tuple(own.shape)
        if name not in saved:
            if not name.startswith(_TRAINING_ALONE) and not name.endswith(_COUNTS):
                wrong.append(f'{name} {shape} is missing')
            continue
        got = describe_weight(saved[name], shape, floating=own.is_floating_point())
        if got != str(shape):
            wrong.append(f'{name} is {got}, expected {shape}')
    if wrong:
        more = len(wrong) - _MOST_LISTED
        listed = '; '.join(wrong[:_MOST_LISTED]) + (f'; and {more} more' if more > 0 else '')
        raise ValueError(f'checkpoint {checkpoint} is not one of the network in the config: '
                         f'{listed}')
