# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Images through a network in every way that the pictures show."""

import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import mmcv
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader
from mmseg.apis import init_model
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, MODELS, TRANSFORMS
from torch import Tensor

from mmseg_lrr.apis.checkpoint_check import check_checkpoint
from mmseg_lrr.apis.testing import configure_test, loads_labels, without_labels
from mmseg_lrr.evaluation.image_areas import COARSE
from mmseg_lrr.models.segmentors.lrr_encoder_decoder import last_head
from mmseg_lrr.models.segmentors.restore import image_area, refine_with_crf
from mmseg_lrr.ops import checks
from mmseg_lrr.visualization.panels import Example

#: Outputs beside the levels.
SINGLE_SCALE, MULTI_SCALE, MULTI_SCALE_CRF = 'single scale', 'ms', 'ms-crf'


def unread_test_set(cfg: Config) -> BaseSegDataset | None:
    """Build the config's test set without reading it: its classes, colours and suffixes.

    None without one, or if its files are not there: ``PascalVOCDataset`` looks for them even so.
    """
    dataset = cfg.get('test_dataloader', {}).get('dataset')
    if dataset is None:
        return None
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    try:
        return DATASETS.build({**copy.deepcopy(dataset), 'lazy_init': True})
    except AssertionError:
        return None


def checkpoint_bases(checkpoint: str | Path) -> dict[str, np.ndarray]:
    """Read the basis functions of a checkpoint: level, coarse to fine, -> ``(C, K, H, W)``."""
    saved = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu', logger='silent')
    return {re.search(r'\d+x', name)[0]: value.numpy()
            for name, value in saved.get('state_dict', saved).items()
            if name.startswith('decode_head.') and name.endswith('.bases')}


def has_levels(model: Mapping) -> bool:
    """Say whether the config of a segmentor has a head with levels, alone or last in a cascade."""
    head = model['decode_head']
    return (head[-1] if isinstance(head, list) else head)['type'] in ('LRRHead', 'LRRRefineHead')


def single_pass(cfg: Config) -> Config:
    """Copy a config so that it tests one network in a single pass and stores every level.

    Undoes what mmseg's ``tools/test.py --tta`` writes into the config that it keeps, and has an
    ``LRRHead`` in mmseg's own segmentors give its levels.
    """
    cfg = copy.deepcopy(cfg)
    cfg.model = cfg.model.get('module', cfg.model)
    if has_levels(cfg.model):
        cfg.model.type = f'LRR{cfg.model.type.removeprefix("LRR")}'
        cfg.model.test_cfg = ConfigDict({**(cfg.model.get('test_cfg') or {}),
                                         'level_outputs': True})
    dataset = cfg.get('test_dataloader', {}).get('dataset', {})
    if any(step['type'] == 'TestTimeAug' for step in dataset.get('pipeline') or []):
        dataset.pipeline = cfg.test_pipeline
    return configure_test(cfg)


class ExampleMaker:
    """Make an :class:`~mmseg_lrr.visualization.panels.Example` of an image.

    Ground truth is read on its own, at the image's size: the pipelines need not load any.

    Args:
        cfg: Config of any segmentor; not changed. Without ``test_dataloader`` the images must be
            named, and the checkpoint must name its classes.
        checkpoint: File.
        device: Where the network runs.
        multi_scale: Whether to add the multi-scale output where the config has ``tta_model`` and
            ``tta_pipeline``.
        crf: Config of the CRF after it; None for none.
        masks: None for no boundary masks; an empty list for their maximum over classes; else the
            classes whose masks to keep.

    Attributes:
        classes: Names of the classes.
        palette: Their RGB colours.
        dataset: The config's test set, unread, or None; see :func:`unread_test_set`.
    """

    def __init__(self, cfg: Config, checkpoint: str | Path, *, device: str = 'cpu',
                 multi_scale: bool = True, crf: Mapping | None = None,
                 masks: Sequence[str] | None = None) -> None:
        cfg = self._cfg = single_pass(cfg)
        self._segmentor = init_model(copy.deepcopy(cfg), device=device)
        self._meta = check_checkpoint(self._segmentor, checkpoint)
        self.dataset = unread_test_set(cfg)
        pipeline = cfg.test_dataloader.dataset.pipeline if 'test_dataloader' in cfg else (
            cfg.test_pipeline)
        self._pipeline = Compose(without_labels(pipeline))
        self._load_labels = TRANSFORMS.build(next(
            filter(loads_labels, pipeline), dict(type='LoadAnnotations')))
        self._read_classes()
        self._masked = None if masks is None else [
            self.classes.index(checks.one_of('class', name, self.classes)) for name in masks]
        self._crf = None if crf is None else MODELS.build(dict(crf)).to(device)
        self._multi_scale = None
        if multi_scale and 'tta_model' in cfg and 'tta_pipeline' in cfg:
            # mmseg's own resizes scores and has no room for a CRF.
            tta = (dict(type='LRRTTAModel', fusion='mean') if cfg.tta_model.type == 'SegTTAModel'
                   else {**cfg.tta_model, 'crf': None})
            self._multi_scale = MODELS.build({**tta, 'module': self._segmentor}).to(device).eval()
            self._multi_scale_pipeline = Compose(without_labels(cfg.tta_pipeline))

    def _read_classes(self) -> None:
        num_classes = self._segmentor.num_classes
        meta = getattr(self.dataset, 'metainfo', {})
        if len(meta.get('classes') or ()) != num_classes:
            # A checkpoint of other classes is drawn with its own names.
            meta = self._meta.get('dataset_meta') or {}
        self.classes, self.palette = list(meta.get('classes') or ()), meta.get('palette') or ()
        if len(self.classes) != num_classes or len(self.palette) < num_classes:
            raise ValueError(
                f'the network has {num_classes} classes, but {len(self.classes)} names and '
                f'{len(self.palette)} colours are known for them; set metainfo=dict(classes=..., '
                'palette=...) in test_dataloader.dataset of the config')

    def test_set(self, count: int | None = None, limit: int | None = None) -> list[dict]:
        """List images of the config's test set, with their labels, for :meth:`make`.

        Args:
            count: How many, evenly spaced; None for all.
            limit: Number of images at the beginning to choose from; None for all.
        """
        dataset = DATASETS.build(copy.deepcopy(self._cfg.test_dataloader.dataset))
        total = min(len(dataset), limit or len(dataset))
        chosen = np.linspace(0, total - 1, min(count or total, total)).round().astype(int)
        return [dataset.get_data_info(index) for index in chosen.tolist()]

    @torch.no_grad()
    def make(self, info: Mapping) -> Example:
        """Run the network on an image (see :meth:`test_set`)."""
        image = mmcv.imread(info['img_path'], channel_order='rgb')
        labels = None
        if info.get('seg_map_path') is not None:
            labels = self._load_labels(copy.deepcopy(dict(info)))['gt_seg_map']
        data = pseudo_collate([self._pipeline(copy.deepcopy(dict(info)))])
        (sample, ) = self._segmentor.test_step(copy.deepcopy(data))
        head = last_head(self._segmentor)
        predictions = {level: _label_map(sample.get(f'pred_sem_seg_{level}').data)
                       for level in (COARSE, *getattr(head, 'levels', ()))
                       if f'pred_sem_seg_{level}' in sample}
        predictions = predictions or {SINGLE_SCALE: _label_map(sample.pred_sem_seg.data)}
        if self._multi_scale is not None:
            (fused, ) = self._multi_scale.test_step(
                pseudo_collate([self._multi_scale_pipeline(copy.deepcopy(dict(info)))]))
            predictions[MULTI_SCALE] = _label_map(fused.pred_sem_seg.data)
            if self._crf is not None:
                refined = refine_with_crf(self._crf, fused.seg_logits.data.float().exp(),
                                          dict(ori_img=image[..., ::-1]))
                predictions[MULTI_SCALE_CRF] = _label_map(refined.argmax(dim=0, keepdim=True))
        return Example(
            name=Path(info['img_path']).stem, image=image, labels=labels, predictions=predictions,
            masks={} if self._masked is None else self._masks(data),
            ignore_index=getattr(head, 'ignore_index', 255))

    def _masks(self, data: dict) -> dict[str, np.ndarray]:
        """The boundary masks of one whole pass, as far as the network goes (``last_level``)."""
        head = last_head(self._segmentor)
        if not hasattr(head, 'level_masks'):
            return {}
        batch = self._segmentor.data_preprocessor(data, False)
        inputs, meta = batch['inputs'], batch['data_samples'][0].metainfo
        features = self._segmentor.extract_feat(inputs)
        start = self._segmentor.start(features)
        scores = head.forward_levels(
            features, *start, last_level=self._segmentor.test_cfg.get('last_level'))
        if start:
            scores = {COARSE: head.coarse_scores(features, *start), **scores}
        return {
            level: self._restore_mask(mask, head.level_strides[level], inputs.shape[2:], meta)
            for level, mask in head.level_masks(scores).items()
        }

    def _restore_mask(self, mask: Tensor, stride: int, size: Sequence[int],
                      meta: Mapping) -> np.ndarray:
        """(1, C, h, w) at a level's resolution to (M, H, W) at the image's, without smoothing."""
        mask = mask[:, self._masked] if self._masked else mask.amax(dim=1, keepdim=True)
        mask = mask.repeat_interleave(stride, dim=2).repeat_interleave(stride, dim=3)
        area = image_area(mask[:, :, :size[0], :size[1]], meta)
        return F.interpolate(
            area, tuple(meta['ori_shape'][:2]), mode='nearest-exact')[0].float().cpu().numpy()


def _label_map(data: Tensor) -> np.ndarray:
    return data[0].cpu().numpy()
