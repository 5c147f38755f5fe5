# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What ``tools/visualize.py`` reads and how it names what it writes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.apis import init_model

from mmseg_lrr.datasets.class_bases import dataset_class_names
from mmseg_lrr.datasets.unread_dataset import unread_dataset
from mmseg_lrr.ops import checks
from mmseg_lrr.ops.array_file import load_npy

from .checkpoint_check import check_checkpoint
from .examples import picture_config
from .testing import configure_test


def picture_names(paths: Sequence[str | Path]) -> list[str]:
    """Name files by their stems; where two are alike, with their folders' names before.

    Raises:
        ValueError: Two paths are the same file.
    """
    parts = [(*path.parent.parts, path.stem) for path in map(Path, paths)]
    names = []
    for number, own in enumerate(parts):
        others = parts[:number] + parts[number + 1:]
        length = 1
        while any(own[-length:] == other[-length:] for other in others):
            length += 1
            if length > len(own):
                raise ValueError(f'{paths[number]} is named twice')
        names.append('_'.join(part.strip('/') or 'root' for part in own[-length:]))
    return names


def read_bases(cfg: Config, *, checkpoint: str | Path | None = None,
               file: str | Path | None = None, level: str | None = None,
               only: Sequence[str] = ()) -> tuple[np.ndarray, list[str], str]:
    """Read basis functions from a checkpoint or from a file.

    Args:
        cfg: Config of a segmentor.
        checkpoint: File; its decode head is an ``LRRHead``.
        file: ``.npy`` of ``tools/compute_bases.py``, (C, K, 32, 32); instead of a checkpoint.
        level: Whose basis functions of a checkpoint; None for the coarsest level's.
        only: Names of the classes to give; empty for all.

    Returns:
        Basis functions (C, K, H, W), the classes' names, and what they are, in words.

    Raises:
        ValueError: There is no such level or class, the file holds no bases of these classes, or
            the checkpoint is one of another network.
    """
    cfg = configure_test(picture_config(cfg))
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    if file is None:
        model = init_model(cfg, str(checkpoint), 'cpu')
        check_checkpoint(model, checkpoint)
        head = model.decode_head
        if not hasattr(head, 'reconstructions'):
            raise ValueError(f'only LRRHead has basis functions, got {type(head).__name__}')
        level = checks.one_of('level', level or head.levels[0], head.levels)
        bases = head.reconstructions[level].bases.detach().numpy()
        kind = 'Basis functions' if bool(head.bases_loaded) else 'Cosine basis functions'
        title = f'{kind} of level {level}, {Path(checkpoint).name}'
        num_classes = head.num_classes
    else:
        bases = load_npy('bases', file)
        num_classes = cfg.model.decode_head.num_classes
        if bases.ndim != 4 or len(bases) != num_classes:
            raise ValueError(f'{file} must hold (num_classes, K, H, W) with num_classes = '
                             f'{num_classes} of the config, got shape {bases.shape}')
        title = f'Basis functions in {Path(file).name}'
    classes = [str(label) for label in range(num_classes)]
    if 'test_dataloader' in cfg:
        classes = dataset_class_names(unread_dataset(cfg.test_dataloader.dataset), num_classes)
    if only:
        chosen = [classes.index(checks.one_of('class', name, classes)) for name in only]
        bases, classes = bases[chosen], list(only)
    return bases, classes, title
