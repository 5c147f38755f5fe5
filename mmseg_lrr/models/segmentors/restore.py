# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""From the network's canvas back to the image as it was loaded."""

import mmcv
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_lrr.ops.resampling import resize_bicubic

_FLIPPED_AXES = {'horizontal': (-1, ), 'vertical': (-2, ), 'diagonal': (-2, -1)}


def softmax(scores: Tensor) -> Tensor:
    """Compute probabilities of (N, C, H, W) scores, in float32 at least, as resizing needs."""
    return scores.softmax(dim=1, dtype=torch.promote_types(scores.dtype, torch.float32))


def image_area(maps: Tensor, meta: dict) -> Tensor:
    """Cut the padding off and undo the flip.

    Args:
        maps: (..., H, W) at the size of the network's input.
        meta: The sample's metainfo.

    Returns:
        (..., h, w), the image as it was resized.
    """
    # The pipeline's padding, and outside it the data preprocessor's; left, right, top, bottom.
    paddings = [meta[key] for key in ('padding_size', 'img_padding_size') if key in meta]
    left, right, top, bottom = (sum(sides) for sides in zip((0, ) * 4, *paddings, strict=True))
    height, width = maps.shape[-2:]
    area = maps[..., top:height - bottom, left:width - right]
    if meta.get('flip'):
        area = area.flip(_FLIPPED_AXES[meta['flip_direction']])
    return area


def restore_to_original(probabilities: Tensor, meta: dict) -> Tensor:
    """Cut the padding off, undo the flip, resize to the original size.

    Probabilities, not scores, are resized, as in the released code: the order changes many
    argmaxes.

    Args:
        probabilities: (C, H, W) at the size of the network's input.
        meta: The sample's metainfo.

    Returns:
        (C, \\*ori_shape). Bicubic interpolation overshoots: values can lie slightly outside of
        [0, 1].
    """
    return resize_bicubic(image_area(probabilities, meta)[None], meta['ori_shape'][:2])[0]


def log_probabilities(probabilities: Tensor) -> Tensor:
    """Compute the logarithm of (C, H, W) probabilities renormalised to sum to 1; always finite.

    Negative values, from bicubic interpolation, count as 0.
    """
    tiny = torch.finfo(probabilities.dtype).tiny
    positive = probabilities.clamp_min(0)
    positive /= positive.sum(dim=0, keepdim=True).clamp_min_(tiny)
    return positive.clamp_min_(tiny).log_()


def set_prediction(sample: SegDataSample, probabilities: Tensor) -> None:
    """Store (C, H, W) probabilities as ``seg_logits`` (their logarithm) and ``pred_sem_seg``.

    Raises:
        FloatingPointError: If they are not finite: NaN would count as some class.
    """
    if not torch.isfinite(probabilities.sum()):
        name = sample.metainfo.get('img_path') or 'an image in memory'
        raise FloatingPointError(f'the prediction of {name} is not finite; has training diverged?')
    logits = log_probabilities(probabilities)
    sample.set_data({
        'seg_logits': PixelData(data=logits),
        'pred_sem_seg': PixelData(data=logits.argmax(dim=0, keepdim=True)),
    })


def refine_with_crf(crf: nn.Module, probabilities: Tensor, meta: dict) -> Tensor:
    """Run a CRF on (C, H, W) probabilities of an image, and on its photograph.

    That is ``ori_img`` of the metainfo, else read from ``img_path``.

    Raises:
        KeyError: If the metainfo has neither.
    """
    image = meta.get('ori_img')
    if image is None:
        if not meta.get('img_path'):
            raise KeyError(
                'the CRF needs the photograph, but the sample has neither ori_img nor img_path: '
                "put dict(type='KeepOriginalImage') right after the image is loaded in the test "
                "pipeline, and 'ori_img' in the meta_keys of its PackSegInputs")
        image = mmcv.imread(meta['img_path'])  # as LoadImageFromFile does
    return crf(image[..., ::-1].copy(), probabilities)
