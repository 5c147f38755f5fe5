# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The whole system on a data set that it draws itself."""

import json
import time
from pathlib import Path

import mmcv
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.apis import inference_model, init_model

from mmseg_lrr.datasets import make_shapes_dataset
from mmseg_lrr.evaluation.replacing import replacing
from mmseg_lrr.visualization import level_panel

from .configs import get_config
from .testing import evaluate

_CRF = dict(type='DenseCRF', preset='deeplab_v2_vgg16')
_TRIMAP_WIDTHS = (1, 3, 5, 10)


def run_demo(work_dir: str | Path, *, num_train: int = 480, num_val: int = 40,
             max_iters: int | None = None) -> dict:
    """Draw shapes, train LRR-4x on them, test every level, multi-scale and CRF.

    Args:
        work_dir: folder for the data set, the checkpoint, ``results.json`` and ``levels.png``.
        num_train: training images.
        num_val: validation images.
        max_iters: training iterations; those of the config if None.

    Returns:
        What ``results.json`` holds: ``levels`` (mIoU in percent by level), ``ms``, ``ms_crf``,
        ``trimap`` (mIoU in percent within 1, 3, ... pixels of the boundaries, by level), and
        ``seconds``.
    """
    start = time.perf_counter()
    work_dir = Path(work_dir)
    shapes = make_shapes_dataset(work_dir / 'shapes', num_train=num_train, num_val=num_val)
    cfg = get_config('lrr4x_r18_shapes_demo')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = str(shapes)
    cfg.work_dir = str(work_dir)
    cfg.log_level = 'WARNING'
    cfg.custom_hooks.append(dict(type='ProgressBarHook'))
    cfg.test_evaluator.trimap = dict(widths=_TRIMAP_WIDTHS)
    if max_iters is not None:
        cfg.train_cfg.max_iters = cfg.train_cfg.val_interval = max_iters
        cfg.default_hooks.checkpoint.interval = max_iters

    runner = Runner.from_cfg(cfg)
    runner.train()
    checkpoint = str(work_dir / (work_dir / 'last_checkpoint').read_text().strip())
    levels = runner.model.decode_head.levels
    single = evaluate(cfg, checkpoint)
    multi_scale = evaluate(cfg, checkpoint, tta=True)
    with_crf = evaluate(cfg, checkpoint, tta=True, crf=_CRF)
    draw_examples(cfg, checkpoint, work_dir / 'levels.png')

    results = {
        'levels': {level: single[f'mIoU_{level}'] for level in levels},
        'ms': multi_scale['mIoU'],
        'ms_crf': with_crf['mIoU'],
        'trimap': {
            level: {width: single[f'trimap_mIoU@{width}_{level}'] for width in _TRIMAP_WIDTHS}
            for level in levels
        },
        'seconds': round(time.perf_counter() - start, 1),
    }
    with replacing(work_dir / 'results.json') as temporary:
        temporary.write_text(json.dumps(results, indent=2) + '\n')
    return results


@torch.no_grad()
def draw_examples(cfg: Config, checkpoint: str, path: Path, count: int = 4) -> None:
    """Draw the levels and masks of the first validation images."""
    model = init_model(cfg.copy(), checkpoint, device='cpu')
    dataset = Runner.build_dataloader(cfg.test_dataloader).dataset
    examples = []
    for index in range(min(count, len(dataset))):
        info = dataset.get_data_info(index)
        result = inference_model(model, info['img_path'])
        batch = model.data_preprocessor(
            {name: [value] for name, value in dataset[index].items()}, False)
        scores = model.decode_head.forward_levels(model.extract_feat(batch['inputs']))
        left, right, top, bottom = batch['data_samples'][0].padding_size
        masks = {}
        for level, mask in model.decode_head.level_masks(scores).items():
            stride = model.decode_head.level_strides[level]
            mask = mask[0].amax(dim=0).numpy()
            masks[level] = mask[top // stride:mask.shape[0] - bottom // stride,
                                left // stride:mask.shape[1] - right // stride]
        examples.append({
            'image': mmcv.imread(info['img_path'], channel_order='rgb'),
            'labels': dataset[index]['data_samples'].gt_sem_seg.data[0].numpy(),
            'levels': {
                level: result.get(f'pred_sem_seg_{level}').data[0].numpy()
                for level in model.decode_head.levels
            },
            'masks': masks,
        })
    level_panel(path, examples, dataset.metainfo['classes'], dataset.metainfo['palette'])
