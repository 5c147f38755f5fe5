# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Softmax loss of one level, at that level's own resolution."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn as nn
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_lrr.ops import checks
from mmseg_lrr.ops.array_file import load_npy
from mmseg_lrr.ops.precision import full_precision


@MODELS.register_module()
class LevelCrossEntropyLoss(nn.Module):
    """Cross entropy in which each image weighs the same (spec section 3, the released code's).

    Per image the sum over the valid pixels is divided by (number of valid pixels + 1); then the
    mean is taken over the batch. The toolbox's ``CrossEntropyLoss`` takes one mean over all pixels
    of the batch. The head calls it once a level and names each term ``{loss_name}_{level}``.

    Args:
        loss_weight: factor on the loss.
        class_weight: one weight a class, or the name of a ``.npy`` or ``.json`` file that holds
            them. (The toolbox's ``CrossEntropyLoss`` reads pickles and YAML too, which can run
            commands.) A pixel's loss is multiplied by its class's weight; the divisor stays the
            number of pixels.
        loss_name: must begin with ``loss_``, or it would not be trained on.

    Raises:
        FileNotFoundError: when built, if the file is not there.
        TypeError, ValueError: when built, on a bad value.
    """

    def __init__(self, *, loss_weight: float = 1.0,
                 class_weight: Sequence[float] | str | None = None,
                 loss_name: str = 'loss_ce') -> None:
        super().__init__()
        self.loss_weight = checks.number('loss_weight', loss_weight, 0)
        self.class_weight = _class_weights(class_weight)
        if not checks.text('loss_name', loss_name).startswith('loss_'):
            raise ValueError(f"loss_name must begin with 'loss_', got {loss_name!r}")
        self._loss_name = loss_name

    @property
    def loss_name(self) -> str:
        """Name of the term in the log."""
        return self._loss_name

    def forward(self, cls_score: Tensor, label: Tensor, weight: Tensor | None = None,
                ignore_index: int = 255) -> Tensor:
        """Loss of a batch.

        Args:
            cls_score: (N, C, h, w) scores.
            label: (N, h, w) integer, at the resolution of ``cls_score``.
            weight: (N, h, w) factors on the pixels' losses, or None.
            ignore_index: label of pixels that do not count.

        Returns:
            Scalar; 0, with zero gradients, if no pixel is valid.
        """
        cls_score = full_precision(cls_score)
        class_weight = self.class_weight
        if class_weight is not None:
            class_weight = cls_score.new_tensor(class_weight)
        loss = F.cross_entropy(
            cls_score, label.long(), weight=class_weight, ignore_index=ignore_index,
            reduction='none')
        if weight is not None:
            loss = loss * weight
        valid = (label != ignore_index).flatten(1).sum(dim=1)
        return self.loss_weight * (loss.flatten(1).sum(dim=1) / (valid + 1)).mean()


def _class_weights(given: Sequence[float] | str | None) -> tuple[float, ...] | None:
    """The weights themselves, read from the file if there is one."""
    if given is None:
        return None
    values = given
    if isinstance(given, str | Path):
        path = Path(given)
        if path.suffix not in ('.npy', '.json'):
            raise ValueError(f'class_weight must be a list, or a .npy or .json file, got {given!r}')
        if not path.is_file():
            raise FileNotFoundError(f'the file of class_weight is not there: {path}')
        values = (load_npy('class_weight', path).tolist() if path.suffix == '.npy'
                  else _load_json(path))
    elif isinstance(given, np.ndarray):
        values = given.tolist()
    if not isinstance(values, list | tuple) or not values:
        raise TypeError(f'class_weight must be a non-empty list of numbers, got {given!r}')
    return checks.numbers('class_weight', values, (len(values), ), 0)


def _load_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    # The last of lists in lists without end.
    except (ValueError, RecursionError) as error:
        raise ValueError(f'class_weight {path} must be a list in a .json file: {error}') from error
