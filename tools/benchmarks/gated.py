# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Gated refinement on real photographs: what is computed, what it changes, what it saves.

    python tools/benchmarks/gated.py CONFIG CHECKPOINT [--images 50] [--cfg-options KEY=VALUE ...]

For each threshold: the fractions of the finest levels' tiles that are needed and that are computed
(all of a level, where more than 0.6 are needed), the largest difference of a score, the mIoU
lost, and the head's time beside the dense one's. The images are evenly spaced in
the test set.
``--against`` also times two ResNet-101 models with random weights on the same photographs: the
toolbox's DeepLabV3+ R101-D8, and LRR-4x R101 with the tiles that are active in CONFIG's model.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import torch
from heads import build_model
from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmseg.apis import init_model
from mmseg.evaluation import IoUMetric
from mmseg.registry import DATASETS
from mmseg_lrr.ops.tiled_conv import active_tiles
from options import whole
from side_by_side import device_line, table

import mmseg_lrr  # noqa: F401  registers the parts
from mmseg_lrr.apis.checkpoint_check import check_checkpoint
from mmseg_lrr.models.decode_heads import lrr_head
from mmseg_lrr.models.layers.coefficient_conv import MOST_TILES


@contextmanager
def tiles(record: list[torch.Tensor] | None = None, replay: list[torch.Tensor] | None = None
          ) -> Iterator[None]:
    """Keep the tiles that a head finds active, or make it take those of an earlier pass."""
    given = iter(replay or ())

    def choose(mask: torch.Tensor, threshold: float, factor: int) -> torch.Tensor:
        active = active_tiles(mask, threshold, factor) if replay is None else next(given)
        if record is not None:
            record.append(active)
        return active

    with mock.patch.object(lrr_head, 'active_tiles', choose):
        yield


def evenly_spaced(count: int, total: int) -> list[int]:
    """Numbers of ``count`` of ``total`` images, all of them where there are fewer."""
    count = min(count, total)
    return [index * total // count for index in range(count)]


def timed(function: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('--images', type=whole(), default=50,
                        help='how many (default: %(default)s)')
    parser.add_argument('--threads', type=whole(), default=2)
    parser.add_argument('--thresholds', type=float, nargs='+', default=[1e-3, 1e-2, 0.03, 0.1])
    parser.add_argument('--against', action='store_true', help='time ResNet-101 models as well')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    args = parser.parse_args()
    for threshold in args.thresholds:
        if not 0 < threshold < 1:
            parser.error(f'--thresholds must be above 0 and below 1, got {threshold}')
    torch.set_num_threads(args.threads)
    cfg = Config.fromfile(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    model = init_model(cfg, args.checkpoint, device='cpu')
    check_checkpoint(model, args.checkpoint)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    images = evenly_spaced(args.images, len(dataset))
    others = {}
    if args.against:
        others = {name: build_model(name, len(dataset.metainfo['classes']))
                  for name in ('DeepLabV3+', 'LRR-4x')}

    head = model.decode_head
    fractions = {key: [] for key in args.thresholds}
    computed = {key: [] for key in args.thresholds}
    differences = dict.fromkeys(args.thresholds, 0.)
    head_seconds = {key: [] for key in (0., *args.thresholds)}
    model_seconds = {key: [] for key in ('DeepLabV3+', 0., *args.thresholds)}
    metrics = {key: IoUMetric(iou_metrics=['mIoU']) for key in (0., *args.thresholds)}
    for metric in metrics.values():
        metric.dataset_meta = dataset.metainfo
    with torch.no_grad():
        for number in images:
            data = model.data_preprocessor(pseudo_collate([dataset[number]]), False)
            inputs, samples = data['inputs'], data['data_samples']
            features = model.extract_feat(inputs)
            scores = {}
            if others:
                model_seconds['DeepLabV3+'].append(timed(lambda x=inputs: others['DeepLabV3+'](x)))
            for threshold in metrics:
                def run(x=features, t=threshold) -> torch.Tensor:
                    return head.forward_levels(x, refine_threshold=t)[head.levels[-1]]

                active: list[torch.Tensor] = []
                with tiles(record=active):
                    scores[threshold] = run()
                head_seconds[threshold].append(timed(run))
                if threshold:
                    # The 16x level is small; the gate pays at the two finest.
                    total = sum(a.numel() for a in active[-2:])
                    fractions[threshold].append(sum(int(a.sum()) for a in active[-2:]) / total)
                    computed[threshold].append(sum(
                        int(a.sum()) if a.float().mean() <= MOST_TILES else a.numel()
                        for a in active[-2:]) / total)
                    differences[threshold] = max(
                        differences[threshold],
                        float((scores[threshold] - scores[0.]).abs().max()))
                if others:
                    other = others['LRR-4x']
                    with tiles(replay=active):
                        model_seconds[threshold].append(timed(
                            lambda x=inputs, t=threshold, other=other:
                            other.decode_head.forward_levels(
                                other.extract_feat(x), refine_threshold=t)))
                samples_out = model.postprocess_result(
                    head.predict_by_feat(scores[threshold], [samples[0].metainfo]), samples)
                metrics[threshold].process({}, [item.to_dict() for item in samples_out])
    count = len(images)
    results = {key: metric.evaluate(count)['mIoU'] for key, metric in metrics.items()}
    median = {key: statistics.median(values) for key, values in head_seconds.items()}
    print(f'{device_line()}; {count} photographs of {tuple(inputs.shape[2:])} (the last), medians')
    print(table(
        'Gated refinement, LRR of ' + str(args.config),
        ('refine_threshold', 'tiles needed (8x, 4x)', 'computed', 'largest score difference',
         'mIoU', 'mIoU lost', 'head, s', 'dense / gated'),
        [('dense', 1., 1., 0., float(results[0.]), 0., median[0.], 1.)] + [
            (key, statistics.mean(fractions[key]), statistics.mean(computed[key]),
             differences[key], float(results[key]),
             float(results[0.] - results[key]), median[key], median[0.] / median[key])
            for key in args.thresholds]))
    if others:
        median = {key: statistics.median(values) for key, values in model_seconds.items()}
        print(table(
            'LRR-4x R101, random weights, with those tiles, beside DeepLabV3+ R101-D8',
            ('refine_threshold', 'DeepLabV3+, s', 'LRR-4x, s', 'ratio'),
            [(key or 'dense', median['DeepLabV3+'], median[key],
              median['DeepLabV3+'] / median[key]) for key in (0., *args.thresholds)]))


if __name__ == '__main__':
    main()
