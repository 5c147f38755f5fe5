# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Labels are checked where they are loaded: there the file is known, and no GPU waits."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CheckLabels(BaseTransform):
    """Refuse a label map that is not of the image's size or holds a label that is no class.

    The losses do not look: on a GPU they would have to wait for the labels, and a wrong one stops
    the training with a message that names neither the label nor the file. Put it right after
    ``LoadAnnotations``.

    Required keys: gt_seg_map; img, if the sizes are to be compared.

    Args:
        num_classes: Number of classes. Labels are ``0`` to ``num_classes - 1``, after the data
            set's mapping.
        ignore_index: Label of pixels that do not count.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def transform(self, results: dict) -> dict:
        """Check ``results['gt_seg_map']``.

        Raises:
            ValueError: If it is wrong; the message names the file.
        """
        labels = results['gt_seg_map']
        name = f'the label map {results.get("seg_map_path") or "in memory"}'
        size = results['img'].shape[:2] if 'img' in results else labels.shape[:2]
        if labels.shape != size:
            raise ValueError(f'{name} is of shape {labels.shape}; expected one channel and its '
                             f"image's height and width, {size} ({results.get('img_path')})")
        outside = (labels < 0) | (labels >= self.num_classes)
        strange = labels[outside & (labels != self.ignore_index)]
        if strange.size:
            raise ValueError(
                f'{name} holds {np.unique(strange).tolist()}, which are not classes; expected 0 to '
                f'{self.num_classes - 1}, or {self.ignore_index} for pixels that do not count; '
                "check the dataset's classes and reduce_zero_label, and num_classes of CheckLabels")
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(num_classes={self.num_classes}, '
                f'ignore_index={self.ignore_index})')
