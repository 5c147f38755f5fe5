# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Which classes a prediction is about, image by image."""

import torch
from torch import Tensor

from .precision import full_precision


def varying_classes(scores: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Find the classes whose probability varies over an image, and sum up the others.

    Args:
        scores: (N, C, H, W).
        threshold: A class varies if its greatest and its smallest probability in the image differ
            by more than this.

    Returns:
        Whether each class varies, (N, C), and the logarithm of the mean of exp(scores) over the
        classes that do not, (N, 1, H, W), which can be upsampled as scores are: where all of them
        are zero, as outside the map, it is zero too.
    """
    scores = full_precision(scores)
    p = scores.softmax(dim=1)
    varying = p.amax(dim=(2, 3)) - p.amin(dim=(2, 3)) > threshold
    others = (~varying).to(p.dtype)
    mean = torch.einsum('nchw,nc->nhw', p, others / others.sum(dim=1, keepdim=True).clamp(min=1))
    # A score minus the logarithm of its p is the same for all classes; the greatest p is no zero.
    log_sum = scores.amax(dim=1) - p.amax(dim=1).log()
    mean = full_precision(mean).clamp(min=torch.finfo(p.dtype).tiny)  # autocast lowers products
    return varying, (log_sum + mean.log())[:, None]
