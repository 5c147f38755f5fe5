# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Strips of the levels while a network is validated or tested."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.models.segmentors import SegTTAModel
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from torch import nn
from torch.utils.data import DataLoader

from mmseg_lrr.evaluation.image_areas import FINAL, predictions
from mmseg_lrr.models.segmentors.lrr_encoder_decoder import last_head
from mmseg_lrr.visualization.panels import CELL_WIDTH, Example, draw_levels


@HOOKS.register_module()
class LRRVisualizationHook(Hook):
    """Send a strip of some images to the visualizer's backends: image, ground truth, every level.

    ``custom_hooks = [..., dict(type='LRRVisualizationHook')]`` is all that a config needs; the
    strips then go where its ``visualizer`` writes (local files, TensorBoard, WandB, ...), as
    ``val_levels_<image>`` and ``test_levels_<image>`` at the iteration of the training.

    An ``LRREncoderDecoder`` with an ``LRRHead`` is set to store its levels' predictions
    (``test_cfg.level_outputs``), which metrics then report too. Of any other segmentor, and in
    multi-scale testing, the strip shows what there is: the final output.

    Args:
        count: Number of images, evenly spaced over the main process's share.
        cell_width: Width of a picture in the strip, in pixels.
    """

    priority = 'LOW'

    def __init__(self, *, count: int = 4, cell_width: int = CELL_WIDTH) -> None:
        self.count = count
        self.cell_width = cell_width

    def before_val_epoch(self, runner: Runner) -> None:
        """Choose the images and have the levels stored."""
        self._begin(runner, runner.val_dataloader)

    def before_test_epoch(self, runner: Runner) -> None:
        """Choose the images and have the levels stored."""
        self._begin(runner, runner.test_dataloader)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                       outputs: Sequence[SegDataSample] = ()) -> None:
        """Draw the batch's first image if it was chosen."""
        self._draw(runner, 'val', runner.val_dataloader, batch_idx, outputs)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                        outputs: Sequence[SegDataSample] = ()) -> None:
        """Draw the batch's first image if it was chosen."""
        self._draw(runner, 'test', runner.test_dataloader, batch_idx, outputs)

    def _begin(self, runner: Runner, loader: DataLoader) -> None:
        number = len(loader)
        self._chosen = np.linspace(0, number - 1, min(self.count, number)).round()
        model = _unwrapped(runner)
        if hasattr(model, 'level_outputs') and hasattr(last_head(model), 'level_scores'):
            model.level_outputs = True

    def _draw(self, runner: Runner, mode: str, loader: DataLoader, batch_idx: int,
              outputs: Sequence[SegDataSample]) -> None:
        if batch_idx not in self._chosen or not is_main_process():
            return
        meta = loader.dataset.metainfo
        example = _example(outputs[0], _unwrapped(runner))
        strip = draw_levels(
            [example], meta['classes'], meta['palette'], cell_width=self.cell_width)
        runner.visualizer.add_image(f'{mode}_levels_{example.name}', strip, step=runner.iter)


def _unwrapped(runner: Runner) -> nn.Module:
    """Return the model without the wrapper of a distributed run."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _example(sample: SegDataSample, model: nn.Module) -> Example:
    shown = predictions(sample.to_dict())
    final = shown.pop(FINAL)
    refined = getattr(model, 'crf', None) is not None
    if isinstance(model, SegTTAModel):
        shown['ms-crf' if refined else 'ms'] = final
    elif refined:
        shown['crf'] = final
    elif not shown:
        # The finest level's, where there are levels, is the same.
        shown['prediction'] = final
    image = sample.metainfo.get('ori_img')
    image = (mmcv.imread(sample.img_path, channel_order='rgb') if image is None
             else image[..., ::-1])
    labels = sample.gt_sem_seg.data[0].cpu().numpy() if 'gt_sem_seg' in sample else None
    segmentor = model.module if isinstance(model, SegTTAModel) else model
    return Example(
        name=Path(sample.img_path).stem, image=image, labels=labels, predictions=shown,
        ignore_index=last_head(segmentor).ignore_index)
