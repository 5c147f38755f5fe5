# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Multi-scale inference on images from Python; mmseg's functions know single passes only."""

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmseg.apis import init_model
from mmseg.models.segmentors import SegTTAModel
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from .testing import configure_test


def init_model_tta(
    config: str | Path | Config, checkpoint: str | None = None, device: str = 'cuda:0',
    cfg_options: dict | None = None, crf: dict | None = None,
) -> SegTTAModel:
    """Make the multi-scale model of a config, as mmseg's ``init_model`` makes the segmentor.

    Args:
        config: Config, or its file, with ``tta_model`` and ``tta_pipeline``. It is not changed.
        checkpoint: The segmentor's weights; None leaves them random.
        device: Where the model works.
        cfg_options: Settings of the config to override, e.g. ``{'tta_model.fusion': 'mean'}``.
        crf: Config of the CRF on the fused probabilities, e.g.
            ``dict(type='DenseCRF', preset='deeplab_v2_vgg16')``; None: what ``tta_model`` says.

    Returns:
        The model, in evaluation mode, with its config as ``cfg`` and the classes and colours as
        ``dataset_meta``.
    """
    config = copy.deepcopy(config) if isinstance(config, Config) else Config.fromfile(config)
    if cfg_options is not None:
        config.merge_from_dict(cfg_options)
    if crf is None:
        crf = config.get('tta_model', {}).get('crf')
    tested = configure_test(config, tta=True, crf=crf)
    segmentor = init_model(
        configure_test(config), None if checkpoint is None else str(checkpoint), device)
    model = MODELS.build({**tested.model, 'module': segmentor}).to(device).eval()
    model.cfg = tested
    model.dataset_meta = getattr(segmentor, 'dataset_meta', None)
    return model


def inference_model_tta(
    model: SegTTAModel, img: str | Path | np.ndarray | Sequence[str | Path | np.ndarray]
) -> SegDataSample | list[SegDataSample]:
    """Predict images by the multi-scale model.

    Args:
        model: What :func:`init_model_tta` gives.
        img: Image file, image (H, W, 3) uint8 in BGR as ``mmcv.imread`` gives it, or a list of
            them, of any sizes.

    Returns:
        The prediction, or a list of them for a list: ``pred_sem_seg`` (1, H, W) and ``seg_logits``
        (C, H, W) at the image's size.
    """
    if isinstance(img, list | tuple):
        return [inference_model_tta(model, one) for one in img]
    pipeline = copy.deepcopy(model.cfg.tta_pipeline)
    if isinstance(img, np.ndarray):
        pipeline[0]['type'] = 'LoadImageFromNDArray'
        data = dict(img=img)
    else:
        data = dict(img_path=str(img))
    (result, ) = model.test_step(pseudo_collate([Compose(pipeline)(data)]))
    return result
