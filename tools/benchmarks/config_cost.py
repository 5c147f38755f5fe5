# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What training a config costs: the arithmetic and memory of one image, and what follows.

One training step of one image is run at the config's own size. The operations of convolutions and
matrix products (a multiplication and an addition are two) and the bytes kept for the backward pass
are counted. From them follow, as estimates, the memory of a batch (weights, gradients, the
optimiser's state, and the bytes kept times the batch; nothing for workspaces) and the hours of the
whole training on one GPU (the operations of all images at an assumed rate). With ``--device cuda``
the peak of one image's step is measured too. Configs that differ in data and schedule alone share
one step.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from unittest import mock

import torch

# Before the toolbox: it prepares the stack and registers the package.
import mmseg_lrr  # noqa: F401

# isort: split
from mmengine.config import Config, ConfigDict
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from options import existing_device, whole
from torch.utils.flop_counter import FlopCounterMode

from mmseg_lrr.ops import winograd

#: Training images of the published data sets, by list or folder; COCO's number is the poster's.
IMAGES = {
    'ImageSets/Segmentation/lrr_train.txt': 11295,
    'ImageSets/Segmentation/trainaug.txt': 10582,
    'ImageSets/Segmentation/voc20.txt': 97000,
    'ImageSets/coarse_train_extra.txt': 19998,
    'leftImg8bit/train': 2975,
}

#: Values that an optimiser keeps for each weight.
STATES = {'SGD': 1, 'AdamW': 2}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='+', type=Path, help='config files')
    parser.add_argument('--device', type=existing_device, default='cpu',
                        help='where to run (default: %(default)s)')
    parser.add_argument(
        '--gpus',
        type=whole(),
        default=1,
        help='GPUs that each take a batch; matters where a config counts iterations',
    )
    parser.add_argument(
        '--tflops',
        type=float,
        default=20,
        help='10^12 operations a second that a GPU keeps up, for the hours (default: %(default)s)',
    )
    return parser.parse_args()


def images_seen(cfg: Config, gpus: int) -> int:
    """Number of images of the whole training."""
    if cfg.train_cfg.type == 'IterBasedTrainLoop':
        return cfg.train_cfg.max_iters * cfg.train_dataloader.batch_size * gpus
    dataset = cfg.train_dataloader.dataset
    parts = dataset.get('datasets', [dataset])
    images = sum(IMAGES[part.get('ann_file') or part.data_prefix.img_path] for part in parts)
    return cfg.train_cfg.max_epochs * images


def network(cfg: Config) -> tuple[ConfigDict, tuple[int, int]]:
    """What the cost of a step depends on: the model, without its start weights, and its images."""
    model = copy.deepcopy(cfg.model)
    model.pretrained = None
    model.backbone.pop('init_cfg', None)
    size = model.pop('data_preprocessor').get('size') or cfg.crop_size
    return model, tuple(size)


def one_step(model_cfg: ConfigDict, size: tuple[int, int], device: str) -> dict[str, int]:
    """Run one training step of one image.

    Args:
        model_cfg: The model, as :func:`network` gives it.
        size: Height and width of the image.
        device: Where to run.

    Returns:
        Number of ``weights``, ``operations`` of the step, bytes ``kept`` for the backward pass
        and, on a GPU, the ``peak`` of bytes in use.
    """
    torch.manual_seed(0)
    model = revert_sync_batchnorm(MODELS.build(model_cfg)).to(device).train()
    for module in model.modules():
        # The coarsest map of one small image is too little for batch statistics.
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    image = torch.randn(1, 3, *size, device=device)
    labels = torch.randint(0, model_cfg.decode_head.num_classes, (1, *size), device=device)
    sample = SegDataSample(gt_sem_seg=PixelData(data=labels))
    own = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            # Holding the tensor keeps its address from being used again.
            kept[storage.data_ptr()] = storage.nbytes(), tensor
        return tensor

    on_gpu = torch.device(device).type == 'cuda'
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    # The plain convolution's operations, which a GPU does, not those of its shorter way on a CPU.
    plain = mock.patch.object(winograd, 'winograd_pays', return_value=False)
    with plain, FlopCounterMode(display=False) as counter:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss, _ = model.parse_losses(model.loss(image, [sample]))
        size_kept = sum(size for size, _ in kept.values())
        kept.clear()
        loss.backward()
    found = {
        'weights': sum(parameter.numel() for parameter in model.parameters()),
        'operations': counter.get_total_flops(),
        'kept': size_kept,
    }
    if on_gpu:
        found['peak'] = torch.cuda.max_memory_allocated()
    return found


def main() -> None:
    args = parse_args()
    init_default_scope('mmseg')
    columns = ['batch', 'weights (M)', 'GFLOP/image', 'kept MB/image', 'batch GB (est.)',
               'images (k)', f'h at {args.tflops:g} TFLOP/s (est.)', 'peak GB, 1 image']
    widths = [len(column) for column in columns]
    longest = max(len(path.stem) for path in args.configs)
    print(' '.join(['config'.ljust(longest), *columns]))
    counted: list[tuple[tuple[ConfigDict, tuple[int, int]], dict[str, int]]] = []
    for path in args.configs:
        cfg = Config.fromfile(path)
        own = network(cfg)
        found = next((costs for other, costs in counted if other == own), None)
        if found is None:
            found = one_step(*own, args.device)
            counted.append((own, found))
        batch = cfg.train_dataloader.batch_size
        copies = 2 + STATES[cfg.optim_wrapper.optimizer.type]
        memory = 4 * found['weights'] * copies + batch * found['kept']
        images = images_seen(cfg, args.gpus)
        hours = found['operations'] * images / (args.tflops * 1e12) / 3600
        cells = [f'{batch}', f'{found["weights"] / 1e6:.0f}', f'{found["operations"] / 1e9:.0f}',
                 f'{found["kept"] / 1e6:.0f}', f'{memory / 1e9:.1f}', f'{images / 1e3:.0f}',
                 f'{hours:.1f}', f'{found["peak"] / 1e9:.1f}' if 'peak' in found else '-']
        row = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        print(' '.join([path.stem.ljust(longest), *row]), flush=True)


if __name__ == '__main__':
    main()
