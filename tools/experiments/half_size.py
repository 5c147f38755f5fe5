# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A copy of CamVid at half size."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_lrr.replacing import replacing

#: The splits that are read. There is a third, for those who want to judge: nothing here opens it.
SPLITS = ('train', 'val')


def halve_camvid(source: Path, target: Path) -> None:
    """Copy the training and validation frames at half size; what is there already is kept.

    A photograph's pixel is the mean of 2x2 pixels. A label is the lower right one of the 2x2, which
    is the nearest to their centre where all are equally near (index 2i + 1, as ``nearest-exact``).

    Args:
        source: ``JPEGImages``, ``SegmentationClass`` and ``ImageSets/Segmentation``.
        target: Folder of the same layout; its images are PNG.

    Raises:
        FileNotFoundError: A list, a frame or its labels are not there.
    """
    for split in SPLITS:
        names_file = Path('ImageSets/Segmentation') / f'{split}.txt'
        for name in (source / names_file).read_text().split():
            labels = target / 'SegmentationClass' / f'{name}.png'
            if labels.exists():  # Written last.
                continue
            photograph = Image.open(source / 'JPEGImages' / f'{name}.jpg').convert('RGB')
            with replacing(target / 'JPEGImages' / f'{name}.png') as temporary:
                photograph.reduce(2).save(temporary, format='PNG')
            full = np.array(Image.open(source / 'SegmentationClass' / f'{name}.png'))
            with replacing(labels) as temporary:
                Image.fromarray(full[1::2, 1::2]).save(temporary, format='PNG')
        with replacing(target / names_file) as temporary:
            shutil.copyfile(source / names_file, temporary)
