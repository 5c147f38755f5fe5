# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Whether a checkpoint is one of the network that a config says."""

import re
from pathlib import Path
from typing import Any

from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

#: What only training reads, at the beginning or end of a name: a checkpoint may leave it out.
_TRAINING_ALONE = re.compile(r'auxiliary_head\.|decode_head\.(\d+\.)?(dilation|erosion)\.')
_COUNTS = ('.num_batches_tracked', '.bases_loaded')
_MOST_LISTED = 5


def check_checkpoint(model: nn.Module, checkpoint: str | Path) -> dict:
    """Load a checkpoint into a model, and refuse that of another network.

    mmengine loads what fits and warns of the rest, which stays random: its scores would look like
    results.

    Args:
        model: Segmentor, or models around one.
        checkpoint: File or address.

    Returns:
        The checkpoint's ``meta``; empty if it has none.

    Raises:
        ValueError: Parameters, statistics or basis functions are missing or have another shape.
            What only training reads (auxiliary heads, DE branches) may be missing.
    """
    loaded = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu', logger='silent')
    weights = {name.removeprefix('module.'): value
               for name, value in loaded.get('state_dict', loaded).items()}
    problem = f'checkpoint {checkpoint} is not one of the network in the config: '
    while hasattr(model, 'module'):  # Multi-scale and distributed models, and both.
        model = model.module
    try:
        keys = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        listed = str(error).splitlines()[1:_MOST_LISTED + 1]
        raise ValueError(problem + ';'.join(listed)) from error
    missing = [name for name in keys.missing_keys
               if not _TRAINING_ALONE.match(name) and not name.endswith(_COUNTS)]
    if missing:
        raise ValueError(
            f'{problem}{len(missing)} of its weights are missing, such as '
            f'{", ".join(missing[:_MOST_LISTED])}; it has weights of other names: '
            f'{", ".join(keys.unexpected_keys[:_MOST_LISTED]) or "none"}')
    return loaded.get('meta', {})


class CheckedRunner(Runner):
    """mmengine's ``Runner`` for tests: it refuses a checkpoint of another network."""

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> dict:
        """Check a checkpoint and load it; see :func:`check_checkpoint`."""
        check_checkpoint(self.model, filename)
        return super().load_checkpoint(filename, *args, **kwargs)
