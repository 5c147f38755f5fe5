# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Time this head against a textbook port, part by part, and whole models against mmseg's.

    python tools/benchmarks/heads.py [--parts PART ...] [--json FILE] [--models] [--growth]
    python tools/benchmarks/heads.py --classes 21 150 --classes-active 2 5 10
    python tools/benchmarks/heads.py --gate CONFIG CHECKPOINT

Every figure is the median of several rounds in which all ways are timed in turn, so that a
machine's moods hit all alike; ratios are of medians of one run. Labels are blocks of 64 pixels,
weights are random. The head's training step is without DE, which the port does not have; the whole
models' is with all of a model's own losses. The part cost counts one training step of each of
--configs and estimates what the whole training takes.
"""

import argparse
import itertools
import json
import multiprocessing
import platform
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from unittest import mock

PARTS = ('mask', 'reconstruction', 'head', 'targets', 'memory', 'models')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--parts', nargs='+', choices=(*PARTS, 'cost'),
                        help=f'what to measure (default: {" ".join(PARTS)}; none '
                        'with --classes-active or --gate)')
    parser.add_argument('--json', type=Path, help='file for the ratios')
    parser.add_argument('--runs', type=int, default=5,
                        help='rounds whose median is taken (default: %(default)s)')
    parser.add_argument('--threads', type=int, default=2, help='default: %(default)s')
    parser.add_argument('--device', default='cpu', help='default: %(default)s')
    parser.add_argument('--size', type=int, default=512,
                        help='side of the image, a multiple of 64 (default: %(default)s)')
    parser.add_argument('--classes', type=int, nargs='+', default=[21],
                        help='one number; several for --classes-active (default: 21)')
    parser.add_argument('--classes-active', type=int, nargs='+', default=[], metavar='N',
                        help='time class gating with N of the classes, filters of 1x1 and 5x5')
    parser.add_argument('--gate', nargs=2, metavar=('CONFIG', 'CHECKPOINT'),
                        help='test a trained network at several thresholds of class gating')
    parser.add_argument('--models', action='store_true',
                        help='more models than DeepLabV3+, with MACs, training step and memory')
    parser.add_argument('--growth', action='store_true',
                        help='parts and whole models at other sizes and numbers of classes too')
    parser.add_argument('--configs', nargs='+', type=Path, default=[], help='of cost')
    parser.add_argument('--gpus', type=int, default=1, help='of cost: GPUs that each take a batch; '
                        'matters where a config counts iterations (default: %(default)s)')
    parser.add_argument('--tflops', type=float, default=20, help='of cost: 10^12 operations per '
                        'second that a GPU keeps up (default: %(default)s)')
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help does not wait for torch

# Before mmseg: it prepares the stack and registers the package.
import mmseg_lrr  # noqa: F401

# isort: split
import cv2
import numpy as np
import textbook
import torch
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from textbook import TextbookHead, block_labels
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from mmseg_lrr.apis.testing import run_test
from mmseg_lrr.models import BoundaryMask, LRRHead
from mmseg_lrr.models.layers import lrr_level
from mmseg_lrr.ops.class_gating import varying_classes
from mmseg_lrr.ops.dilation_erosion import dilation_erosion_targets
from mmseg_lrr.ops.pyramid import subsample_labels
from mmseg_lrr.ops.reconstruction import reconstruct
from mmseg_lrr.ops.sliding import sliding_range

CHANNELS = (256, 512, 1024, 2048)
#: Name -> mmseg's config of the model.
ALL_MODELS = {
    'LRR-4x': 'upernet_r50', 'DeepLabV3+': 'deeplabv3plus_r50-d8', 'SegFormer': 'segformer_mit-b0',
    'LRR-4x, 5x5': 'upernet_r50', 'PSPNet': 'pspnet_r50-d8', 'FCN': 'fcn_r50-d8',
    'UPerNet': 'upernet_r50'}
#: Sides of square images, and numbers of classes, that show how a cost grows.
GROWTH = ((256, 21), (512, 19), (512, 21), (512, 150), (1024, 21))
#: Training images of the published data sets, by list or folder; COCO's number is the poster's.
IMAGES = {
    'ImageSets/Segmentation/lrr_train.txt': 11295, 'ImageSets/Segmentation/trainaug.txt': 10582,
    'ImageSets/Segmentation/voc20.txt': 97000, 'ImageSets/coarse_train_extra.txt': 19998,
    'leftImg8bit/train': 2975}


def seconds(ways: Mapping[str, Callable[[], object]], args: argparse.Namespace
            ) -> dict[str, float]:
    """Take the median seconds of each way over ``args.runs`` rounds, after one for warming up."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    wait = torch.cuda.synchronize if args.device != 'cpu' else lambda: None
    for _ in range(args.runs + 1):
        for name, way in ways.items():
            wait()
            start = time.perf_counter()
            way()
            wait()
            taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[1:]) for name, values in taken.items()}


def gpu_peak(call: Callable[[], object]) -> float:
    """Measure the MiB that a call adds to the peak of the GPU's memory."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def peak_memory(args: argparse.Namespace, make: Callable[..., Callable], *given: object) -> float:
    """Measure the MiB that the call of ``make(*given, device)`` adds to the peak of a new process.

    Of the GPU's memory if ``args.device`` is one, else of the process's (Linux).
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn')) as pool:
        return pool.submit(_rise, args, make, given).result()


def _rise(args: argparse.Namespace, make: Callable[..., Callable], given: tuple) -> float:
    torch.set_num_threads(args.threads)
    init_default_scope('mmseg')
    call = make(*given, args.device)
    if args.device != 'cpu':
        return gpu_peak(call)

    def status(field: str) -> int:  # VmRSS: KiB held now; VmHWM: the most held
        return int(re.search(rf'{field}:\s+(\d+)', Path('/proc/self/status').read_text())[1])

    Path('/proc/self/clear_refs').write_text('5')  # the peak counts from here
    before = status('VmRSS')
    call()
    return (status('VmHWM') - before) / 1024


def kept_bytes(function: Callable[[], object], given: Sequence[Tensor]) -> int:
    """Count the bytes that autograd saves during a call, each storage once, without ``given``."""
    there = {tensor.untyped_storage().data_ptr() for tensor in given}
    kept: dict[int, torch.UntypedStorage] = {}  # held here, so that no other gets its address

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = function()  # noqa: F841  (alive while its storages are counted)
    return sum(storage.nbytes() for place, storage in kept.items() if place not in there)


def device_line(device: str = 'cpu') -> str:
    """Name what the figures were measured on."""
    if device != 'cpu':
        return f'{torch.cuda.get_device_name(device)}; torch {torch.__version__}'
    info = Path('/proc/cpuinfo')
    name = re.search(r'model name\s*: (.*)', info.read_text() if info.exists() else '')
    return (f'{name[1] if name else platform.machine()}, {torch.get_num_threads()} threads; '
            f'torch {torch.__version__}')


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Write a Markdown table."""
    lines = [f'### {title}', '', '| ' + ' | '.join(header) + ' |', '|' + '---|' * len(header)]
    for row in rows:
        cells = [f'{cell:.4g}' if isinstance(cell, float) else str(cell) for cell in row]
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


def build_head(num_classes: int, device: str, kernel_size: int = 1) -> LRRHead:
    """Build an LRR-4x of ResNet-50's widths without DE, with the recipes' filters by default.

    Its scores on :func:`build_features` have a standard deviation of 2: the time of the textbook's
    pooling depends on the values, and is least where all are nearly equal.
    """
    torch.manual_seed(0)
    head = LRRHead(in_channels=CHANNELS, num_classes=num_classes, kernel_size=kernel_size,
                   upsample_border='replicate', dilation_erosion=None)
    for level in head.levels.values():
        nn.init.normal_(level.coefficients.weight, std=0.025 / kernel_size)
    return head.to(device)


def build_features(size: int, batch: int, device: str) -> list[Tensor]:
    """Make feature maps of strides 4 to 32."""
    return [torch.rand(batch, channels, size // stride, size // stride, device=device)
            for channels, stride in zip(CHANNELS, (4, 8, 16, 32), strict=True)]


def head_loss(head: LRRHead, features: list[Tensor], labels: Tensor) -> Tensor:
    """Sum the losses of the head's levels."""
    return sum(head.loss_decode(scores, subsample_labels(labels, head.level_strides[level]))
               for level, scores in head.forward_levels(features).items())


def training_step(module: nn.Module, features: list[Tensor], loss: Callable[[], Tensor]) -> None:
    """Forward, loss, backward to parameters and features."""
    module.zero_grad(set_to_none=True)
    for feature in features:
        feature.requires_grad_(True)
        feature.grad = None
    loss().backward()


def head_step(which: str, size: int, classes: int, device: str) -> Callable[[], None]:
    """Prepare a training step of the textbook port, our head, or ours with ``with_cp``."""
    head = build_head(classes, device).train()
    head.with_cp = which == 'ours, with_cp'
    features = build_features(size, 1, device)
    labels = block_labels(size, 1, classes).to(device)
    # What recomputing imports at its first use (80 MiB) is not the head's.
    checkpoint(torch.relu, torch.zeros(1, requires_grad=True), use_reentrant=False)
    loss = TextbookHead(head).loss if which == 'textbook' else partial(head_loss, head)
    return lambda: training_step(head, features, lambda: loss(features, labels))


def build_model(name: str, num_classes: int) -> nn.Module:
    """Build a ResNet-101 model of mmseg without its auxiliary head, or this package's LRR-4x."""
    norm = dict(type='BN', requires_grad=True)
    cfg = get_config(f'mmseg::_base_/models/{ALL_MODELS[name]}.py').model
    head = dict(cfg.decode_head, num_classes=num_classes, norm_cfg=norm)
    if name.startswith('LRR'):  # the recipes' filters, or the released ones
        head = dict(type='LRRHead', in_channels=CHANNELS, num_classes=num_classes,
                    kernel_size=5 if '5x5' in name else 1)
    elif name == 'SegFormer':  # that network's head on a ResNet
        cfg = get_config('mmseg::_base_/models/upernet_r50.py').model
        head['in_channels'] = CHANNELS
    # Normalisation as in testing: batches of one have no statistics at a pooled pixel.
    model = MODELS.build(ConfigDict(
        type='EncoderDecoder', backbone=dict(cfg.backbone, depth=101, norm_cfg=norm),
        decode_head=head, test_cfg=dict(mode='whole'))).eval()
    if name.startswith('LRR'):  # which would say that it has none
        model.decode_head.set_bases(torch.randn(num_classes, 10, 32, 32))
    return model


def model_loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Sum a model's own losses (LRR's with DE) for labels (N, H, W)."""
    samples = [SegDataSample(gt_sem_seg=PixelData(data=item[None]),
                             metainfo=dict(img_shape=tuple(item.shape))) for item in labels]
    return model.parse_losses(model.loss(images, samples))[0]


def model_call(name: str, mode: str, size: int, classes: int, device: str,
               model: nn.Module | None = None) -> Callable[[], object]:
    """Prepare a call of a whole model on one image; ``mode`` is forward or train."""
    model = model or build_model(name, classes).to(device)
    image = torch.randn(1, 3, size, size, device=device)
    labels = block_labels(size, 1, classes).to(device)

    def train() -> None:
        model.zero_grad(set_to_none=True)
        model_loss(model, image, labels).backward()

    return train if mode == 'train' else torch.no_grad()(lambda: model(image))


def compare_parts(args: argparse.Namespace, size: int, classes: int
                  ) -> tuple[dict[str, float], str]:
    """Time mask, reconstruction, head and DE targets against the port; give ratios and a table."""
    head = build_head(classes, args.device)
    port, bases = TextbookHead(head), head.levels['4x'].reconstruction.bases
    features = build_features(size, 1, args.device)
    labels = block_labels(size, 1, classes).to(args.device)
    scores = 3 * torch.randn(1, classes, size, size, device=args.device)
    p, grad = scores.softmax(dim=1), torch.randn_like(scores)
    coefficients = torch.randn(1, classes * 10, size // 4, size // 4, device=args.device)

    def gradient(way: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, ...]:
        leaf = x.detach().requires_grad_()
        return torch.autograd.grad(way(leaf), leaf, grad)

    def plain_targets(labels: Tensor) -> tuple[np.ndarray, np.ndarray]:
        return textbook.textbook_targets(labels.cpu().numpy(), classes)

    ranges = textbook.pooled_range, partial(sliding_range, window=9)
    paint = [partial(way, bases=bases) for way in (textbook.textbook_reconstruction, reconstruct)]
    targets = partial(dilation_erosion_targets, num_classes=classes, void='class0')
    # Name of the ratio, what is compared, the textbook's way and ours, what they are given.
    compared = (
        ('mask_forward', 'mask of given probabilities, forward', ranges, p),
        ('mask_with_softmax', 'mask with its softmax, forward',
         (textbook.textbook_mask, BoundaryMask(window=9)), scores),
        ('mask_train', 'mask of given probabilities, forward + backward',
         [partial(gradient, way) for way in ranges], p),
        ('reconstruction_forward', 'reconstruction (4x), forward', paint, coefficients),
        ('reconstruction_train', 'reconstruction (4x), forward + backward',
         [partial(gradient, way) for way in paint], coefficients),
        ('head_forward', 'head, forward', (port, head.forward_levels), features),
        ('head_train', 'head, forward + losses + backward',
         [partial(training_step, head, loss=partial(loss, features, labels))
          for loss in (port.loss, partial(head_loss, head))], features),
        ('targets_every_pixel', 'DE targets, every pixel',
         (plain_targets, targets), labels),
        ('targets', 'DE targets, every 8th pixel (as trained)',
         (plain_targets, partial(targets, stride=8)), labels),
    )
    rows, ratios = [], {}
    for key, what, ways, given in compared:
        if key.split('_')[0] in args.parts:
            with torch.set_grad_enabled(key.endswith('train')):
                calls = {number: partial(way, given) for number, way in enumerate(ways)}
                plain, ours = seconds(calls, args).values()
            ratios[key] = plain / ours
            rows.append((what, plain, ours, ratios[key]))
    text = table(f'Parts, {size}x{size}, {classes} classes: seconds',
                 ('part', 'textbook', 'ours', 'ratio'), rows) if rows else ''
    if 'head' in args.parts:
        with torch.no_grad():
            taken = seconds({
                'convolutions': lambda: [
                    level.coefficients(feature) for level, feature in
                    zip(head.levels.values(), reversed(features), strict=True)],
                'head': lambda: head.forward_levels(features)}, args)
        ratios['head_over_its_convolutions'] = taken['head'] / taken['convolutions']
        text += (f"The head's forward pass takes {ratios['head_over_its_convolutions']:.3g} times "
                 'what its coefficient convolutions take alone.\n')
    return ratios, text


def compare_memory(args: argparse.Namespace) -> tuple[dict[str, float], str]:
    """Measure the peak of a training step of the head, and count what its levels keep."""
    peaks = {which: peak_memory(args, head_step, which, args.size, args.classes)
             for which in ('textbook', 'ours', 'ours, with_cp')}
    head = build_head(args.classes, args.device).train()
    port = TextbookHead(head)
    features = [item.requires_grad_() for item in build_features(args.size, 1, args.device)]
    given = [*features, *head.parameters(), *head.buffers()]
    kept = [kept_bytes(lambda: port(features), given)]
    for head.with_cp in (False, True):
        kept.append(kept_bytes(lambda: head.forward_levels(features), given))
    return {'head_train_peak_memory': peaks['ours'] / peaks['textbook']}, table(
        'Memory of a training step of the head (features given), MiB',
        ('head', 'peak', '/ textbook', 'kept for the backward pass'),
        [(which, used, used / peaks['textbook'], size / 2**20)
         for (which, used), size in zip(peaks.items(), kept, strict=True)])


def compare_models(args: argparse.Namespace, size: int, classes: int, more: bool
                   ) -> tuple[dict[str, float], str]:
    """Time whole models; with ``more``, their training steps too, beside MACs and memory.

    Gives the seconds of the forward passes by model, and a table.
    """
    models = {name: build_model(name, classes).to(args.device)
              for name in list(ALL_MODELS)[:None if args.models else 3]}

    def timed(mode: str) -> dict[str, float]:
        return seconds({name: model_call(name, mode, size, classes, args.device, model)
                        for name, model in models.items()}, args)

    forward = timed('forward')
    header = ['model', 'M parameters', 'forward, s', '/ LRR-4x']
    rows = [[name, sum(p.numel() for p in model.parameters()) / 1e6, forward[name],
             forward[name] / forward['LRR-4x']] for name, model in models.items()]
    if more:
        header += ['GMAC', 'training step, s', '/ LRR-4x', 'peak forward, MiB',
                   'peak training step, MiB']
        train = timed('train')
        for row in rows:
            name = row[0]
            # mmengine counts a multiplication and its addition as one.
            flops = get_model_complexity_info(
                models[name], (3, size, size), show_table=False, show_arch=False)['flops']
            row += [flops / 1e9, train[name], train[name] / train['LRR-4x'], *(
                peak_memory(args, model_call, name, mode, size, classes)
                for mode in ('forward', 'train'))]
    return forward, table('Whole models, ResNet-101', header, rows)


def compare_gating(args: argparse.Namespace, classes: int, kernel_size: int
                   ) -> tuple[dict[str, float], str]:
    """Time the head and its whole model with some classes active, beside all of them."""
    head, features = build_head(classes, args.device, kernel_size), build_features(
        args.size, 1, args.device)
    others = {name: build_model(name, classes).to(args.device)
              for name in ('DeepLabV3+', 'SegFormer')}
    backbone = others['SegFormer'].backbone
    image = torch.randn(1, 3, args.size, args.size, device=args.device)

    def gated(active: int, features: list[Tensor]) -> None:
        def choose(*given: object) -> tuple[Tensor, Tensor]:
            varying, rest = varying_classes(*given)  # it takes its time, but its answer is set
            return (torch.arange(classes, device=varying.device) < active)[None], rest

        with mock.patch.object(lrr_level, 'varying_classes', choose):
            head.forward_levels(features, class_threshold=0.1)

    ways = {'all': head.forward_levels} | {
        active: partial(gated, active) for active in args.classes_active}
    with torch.no_grad():
        alone = seconds({name: partial(way, features) for name, way in ways.items()}, args)
        whole = seconds({name: lambda way=way: way(backbone(image)) for name, way in ways.items()}
                        | {name: partial(model, image) for name, model in others.items()}, args)
    rows, ratios = [], {}
    for active, taken in alone.items():
        found = [alone['all'] / taken, *(whole[name] / whole[active] for name in others)]
        rows.append((active, taken, found[0], whole[active], *found[1:]))
        ratios |= {f'gated_{kernel_size}x{kernel_size}_{active}_of_{classes}_{key}': ratio for
                   key, ratio in zip(('head', 'vs_deeplabv3plus', 'vs_segformer'), found,
                                     strict=True)}
    return ratios, table(
        f'Class gating, {classes} classes, {kernel_size}x{kernel_size} filters',
        ('active', 'head, s', 'all / active', 'LRR-4x R101, s', 'DeepLabV3+ / LRR-4x',
         'SegFormer / LRR-4x'), rows)


def gate_table(path: str, checkpoint: str) -> str:
    """Test a trained network at several thresholds of class gating; 0 is all classes."""
    rows = []
    for threshold in (0, 0.01, 0.03, 0.1, 0.3):
        cfg = Config.fromfile(path)
        cfg.work_dir, cfg.log_level = 'work_dirs/gate', 'WARNING'
        cfg.model.test_cfg.update(level_outputs=False, class_threshold=threshold)
        cfg.test_evaluator = dict(
            type='LRRIoUMetric', iou_metrics=['mIoU'], trimap=dict(widths=[3]))
        counts: list[float] = []

        def count(*given: object, counts: list[float] = counts) -> tuple[Tensor, Tensor]:
            varying, rest = varying_classes(*given)
            counts.append(float(varying.sum()) / len(varying))
            return varying, rest

        with mock.patch.object(lrr_level, 'varying_classes', count):
            result = run_test(cfg, checkpoint)
        levels = np.reshape(counts, (-1, len(cfg.model.decode_head.in_channels) - 1))
        active = [f'{mean:.1f}' for mean in levels.mean(axis=0)] if threshold else ['all']
        rows.append((threshold, ', '.join(active), *(
            f'{result.metrics[name]:.2f}' for name in ('mIoU', 'trimap_mIoU@3')),
            result.seconds_per_image))
    return table('Class gating of a trained network', (
        'threshold', 'active classes, coarse to fine', 'mIoU', 'trimap 3 px', 's / image'), rows)


def growth_table(args: argparse.Namespace) -> str:
    """Compare the chosen parts and whole models at other sizes and numbers of classes."""
    rows = []
    for size, classes in GROWTH:
        ratios, _ = compare_parts(args, size, classes)
        if 'models' in args.parts:
            forward, _ = compare_models(args, size, classes, more=False)
            ratios['LRR-4x, s'] = forward.pop('LRR-4x')
            ratios |= {f'{name} / LRR-4x': taken / ratios['LRR-4x, s']
                       for name, taken in forward.items()}
        rows.append((f'{size}x{size}', classes, *ratios.values()))
    header = [key.replace('_', ' ') for key in ratios]
    return table('Growth: textbook / ours', ('image', 'classes', *header), rows)


def cost_of_step(cfg: Config, device: str) -> dict[str, float | None]:
    """Run one training step of one image at a config's own size.

    Returns:
        Number of ``weights``, ``operations`` of the step (a multiplication and an addition are
        two), bytes ``kept`` for the backward pass, and a GPU's ``peak`` in MiB.
    """
    size = cfg.model.data_preprocessor.get('size') or cfg.crop_size
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).to(device).train()
    for module in model.modules():
        # The coarsest map of one small image is too little for batch statistics.
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    image = torch.randn(1, 3, *size, device=device)
    labels = torch.randint(0, model.num_classes, (1, *size), device=device)
    losses, kept = [], []

    def step() -> None:
        kept.append(kept_bytes(lambda: losses.append(model_loss(model, image, labels)),
                               list(model.state_dict().values())))
        losses[0].backward()

    with FlopCounterMode(display=False) as counter:
        peak = step() if device == 'cpu' else gpu_peak(step)
    return dict(weights=sum(parameter.numel() for parameter in model.parameters()),
                operations=counter.get_total_flops(), kept=kept[0], peak=peak)


def cost_table(args: argparse.Namespace) -> str:
    """Estimate what training configs costs.

    The memory of a batch is weights, gradients, the optimiser's state, and the bytes kept times
    the batch (nothing for workspaces); the hours are the operations of all images at ``--tflops``.
    """
    rows = []
    for path in args.configs:
        cfg = Config.fromfile(path)
        found = cost_of_step(cfg, args.device)
        batch = cfg.train_dataloader.batch_size
        if cfg.train_cfg.type == 'IterBasedTrainLoop':
            images = cfg.train_cfg.max_iters * batch * args.gpus
        else:
            dataset = cfg.train_dataloader.dataset
            images = cfg.train_cfg.max_epochs * sum(
                IMAGES[part.get('ann_file') or part.data_prefix.img_path]
                for part in dataset.get('datasets', [dataset]))
        copies = 3 if cfg.optim_wrapper.optimizer.type == 'SGD' else 4  # AdamW keeps two values
        memory = 4 * found['weights'] * copies + batch * found['kept']
        hours = found['operations'] * images / (args.tflops * 1e12) / 3600
        rows.append((path.stem, batch, f'{found["weights"] / 1e6:.0f}',
                     f'{found["operations"] / 1e9:.0f}', f'{found["kept"] / 1e6:.0f}',
                     f'{memory / 1e9:.1f}', f'{images / 1e3:.0f}', f'{hours:.1f}',
                     f'{found["peak"]:.0f}' if found['peak'] else '-'))
    return table('What training costs', (
        'config', 'batch', 'weights, M', 'GFLOP per image', 'kept, MB per image',
        'batch, GB (est.)', 'images, k', f'hours at {args.tflops:g} TFLOP/s (est.)',
        'peak of one image, MiB'), rows)


def main() -> None:
    args = parse_args()
    args.parts = args.parts or (() if args.classes_active or args.gate else PARTS)
    all_classes, args.classes = args.classes, args.classes[0]
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    init_default_scope('mmseg')
    print(f'{device_line(args.device)}; batch 1, median of {args.runs}\n')
    ratios, text = compare_parts(args, args.size, args.classes)
    print(text)
    gated = itertools.product(all_classes, (1, 5)) if args.classes_active else ()
    for classes, kernel_size in gated:
        found, text = compare_gating(args, classes, kernel_size)
        ratios |= found
        print(text)
    if 'memory' in args.parts:
        found, text = compare_memory(args)
        ratios |= found
        print(text)
    if 'models' in args.parts:
        forward, text = compare_models(args, args.size, args.classes, more=args.models)
        ratios['end_to_end_vs_deeplabv3plus'] = forward['DeepLabV3+'] / forward['LRR-4x']
        print(text)
    if args.growth:
        print(growth_table(args))
    if args.gate:
        print(gate_table(*args.gate))
    if 'cost' in args.parts:
        print(cost_table(args))
    if args.json:
        args.json.write_text(json.dumps(
            {'device': device_line(args.device), 'ratios': ratios}, indent=2))


if __name__ == '__main__':
    main()
