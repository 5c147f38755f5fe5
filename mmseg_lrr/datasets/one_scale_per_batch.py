# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""One random scale for all images of a batch."""

from collections.abc import Sequence
from typing import Any

from mmengine.dataset import ConcatDataset
from mmseg.registry import DATASETS

from .label_maps import leaves
from .transforms import ScaleToSquare


@DATASETS.register_module()
class OneScalePerBatch(ConcatDataset):
    """Data sets one after another, whose images draw a scale per batch, as the released code does.

    The pipelines have a ``ScaleAugmentation`` or a ``RatioAugmentation``, all the same one, which
    by itself draws a scale per image.

    Args:
        datasets: Data sets or wrappers of some, or their configs.
        **kwargs: Those of :class:`mmengine.dataset.ConcatDataset`.
    """

    def __init__(self, datasets: Sequence, **kwargs: Any) -> None:
        super().__init__(datasets, **kwargs)
        self._scalings = [step for leaf in leaves(self) for step in leaf.pipeline.transforms
                          if isinstance(step, ScaleToSquare)]

    def __getitems__(self, indices: Sequence[int]) -> list[dict]:
        """Load a batch; PyTorch's ``DataLoader`` asks for it so."""
        drawn = self._scalings[0].draw()
        for scaling in self._scalings:
            scaling.drawn = drawn
        return [self[index] for index in indices]
