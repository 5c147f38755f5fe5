# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Whether a checkpoint is one of the network that a config says."""

from pathlib import Path

from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

#: What only training reads, at the beginning or end of a name: a checkpoint may leave it out.
_TRAINING_ALONE = ('auxiliary_head.', 'decode_head.dilation.', 'decode_head.erosion.')
_COUNTS = ('.num_batches_tracked', '.bases_loaded')
_MOST_LISTED = 5


def check_checkpoint(model: nn.Module, checkpoint: str | Path) -> None:
    """Load a checkpoint into a model, and refuse that of another network.

    mmengine loads what fits and warns of the rest, which stays random: its scores would look like
    results.

    Args:
        model: Segmentor, or a multi-scale model around one.
        checkpoint: File or address.

    Raises:
        ValueError: Parameters, statistics or basis functions are missing or have another shape.
            What only training reads (auxiliary heads, DE branches) may be missing.
    """
    loaded = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu', logger='silent')
    weights = {name.removeprefix('module.'): value
               for name, value in loaded.get('state_dict', loaded).items()}
    problem = f'checkpoint {checkpoint} is not one of the network in the config: '
    try:
        keys = getattr(model, 'module', model).load_state_dict(weights, strict=False)
    except RuntimeError as error:
        listed = str(error).splitlines()[1:_MOST_LISTED + 1]
        raise ValueError(problem + ';'.join(listed)) from error
    missing = [name for name in keys.missing_keys
               if not name.startswith(_TRAINING_ALONE) and not name.endswith(_COUNTS)]
    if missing:
        raise ValueError(
            f'{problem}{len(missing)} of its weights are missing, such as '
            f'{", ".join(missing[:_MOST_LISTED])}; it has weights of other names: '
            f'{", ".join(keys.unexpected_keys[:_MOST_LISTED]) or "none"}')
