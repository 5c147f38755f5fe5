# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Time DenseCRF beside pydensecrf, and compare their results and memory.

Prints one Markdown table. Runs of the two alternate, so that what else the machine does falls on
both; CPU seconds are those of all threads, memory is the device's. Where pydensecrf is not
installed (``pip install pydensecrf2``), its columns stay empty.
"""

import argparse
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--image', type=Path, help='a photograph; without it, a painted image')
    parser.add_argument(
        '--sizes', nargs='+', default=['500x375x21'], metavar='WxHxC',
        help='width, height and classes; 2048x1024x19 for Cityscapes (default: 500x375x21)')
    parser.add_argument('--presets', nargs='+', default=['kraehenbuehl'])
    parser.add_argument('--runs', type=int, default=5, help='runs of each, medians are printed')
    parser.add_argument('--threads', type=int, default=1, help="torch's CPU threads")
    parser.add_argument('--device', default='cpu', help="DenseCRF's device")
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help does not wait for torch

import numpy as np
import torch
from heads import device_line, peak_memory, table
from PIL import Image
from scipy.ndimage import gaussian_filter

from mmseg_lrr.models.post_processing.dense_crf import PRESETS, DenseCRF

COLUMNS = ('size', 'preset', 'CPU s', 'pydensecrf', 'ratio', 'wall s', 'pydensecrf', 'ratio',
           'peak MiB', 'pydensecrf', 'equal labels', 'greatest dQ')


def make_inputs(path: Path | None, width: int, height: int, num_classes: int
                ) -> tuple[np.ndarray, np.ndarray]:
    """Make an image ``(H, W, 3)`` and probabilities ``(C, H, W)`` that look like a network's.

    The image's grey values, smoothed, are cut into as many ranges as there are classes; the
    probabilities are the softmax of these segments, blurred, and of smooth errors.
    """
    rng = np.random.default_rng(0)
    if path is None:
        noise = [gaussian_filter(rng.normal(size=(height, width, 3)), (s, s, 0)) for s in (0.7, 9)]
        image = sum(part / part.std() * amount for part, amount in zip(noise, (8, 45), strict=True))
        image = np.clip(image + 128, 0, 255).astype(np.uint8)
    else:
        image = np.array(Image.open(path).convert('RGB').resize((width, height), Image.BICUBIC))
    grey = gaussian_filter(image.mean(axis=2), 3)
    labels = np.digitize(grey, np.quantile(grey, np.linspace(0, 1, num_classes + 1)[1:-1]))
    logits = np.empty((num_classes, height, width), dtype=np.float32)
    for label in range(num_classes):
        error = gaussian_filter(rng.normal(size=(height, width)).astype(np.float32), 6)
        logits[label] = 6 * gaussian_filter((labels == label).astype(np.float32), 8) + 40 * error
    logits = np.exp(logits - logits.max(axis=0))
    return image, logits / logits.sum(axis=0)


def pydensecrf_inference(image: np.ndarray, probs: np.ndarray, preset: str) -> np.ndarray:
    """Run pydensecrf with the settings of a preset; give the marginals."""
    from pydensecrf.densecrf import DenseCRF2D
    from pydensecrf.utils import unary_from_softmax

    settings = PRESETS[preset]
    crf = DenseCRF2D(*probs.shape[:0:-1], len(probs))
    crf.setUnaryEnergy(np.ascontiguousarray(unary_from_softmax(probs)))
    crf.addPairwiseGaussian(sxy=settings['pos_std'], compat=settings['pos_weight'])
    crf.addPairwiseBilateral(
        sxy=settings['bilateral_std_xy'], srgb=settings['bilateral_std_rgb'], rgbim=image,
        compat=settings['bilateral_weight'])
    return np.array(crf.inference(settings['iterations'])).reshape(probs.shape)


def ways(path: Path | None, size: list[int], preset: str, device: str
         ) -> dict[str, Callable[[], np.ndarray]]:
    """Prepare a call of each of the two; what is loaded at its first use is loaded then."""
    image, probs = make_inputs(path, *size)
    crf, on_device = DenseCRF(preset=preset), torch.tensor(probs, device=device)
    small = image[:50, :50].copy(), probs[:, :50, :50].copy()
    crf(*small)
    found = {'ours': lambda: crf(image, on_device).cpu().numpy()}
    if importlib.util.find_spec('pydensecrf') is not None:
        pydensecrf_inference(*small, preset)
        found['theirs'] = lambda: pydensecrf_inference(image, probs, preset)
    return found


def one_way(which: str, *given: object) -> Callable[[], np.ndarray]:
    """Prepare one of :func:`ways`, to measure its memory."""
    return ways(*given)[which]


def row(args: argparse.Namespace, size: list[int], preset: str) -> list[object]:
    """Measure one size and one preset; give the cells of :data:`COLUMNS`."""
    calls = ways(args.image, size, preset, args.device)
    times, results = {name: [] for name in calls}, {}
    for _ in range(args.runs):
        for name, call in calls.items():
            cpu, wall = time.process_time(), time.perf_counter()
            results[name] = call()
            times[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    cells = ['x'.join(map(str, size)), preset]
    for kind in range(2):
        taken = [median(run[kind] for run in times[name]) for name in calls]
        cells += [*taken, taken[0] / taken[1]] if len(calls) > 1 else [*taken, '-', '-']
    cells += [peak_memory(args, one_way, name, args.image, size, preset) for name in calls]
    if len(calls) == 1:
        return [*cells, '-', '-', '-']
    ours, theirs = results.values()
    return [*cells, f'{(ours.argmax(0) == theirs.argmax(0)).mean():.4%}',
            f'{np.abs(ours - theirs).max():.1e}']


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    rows = [row(args, [*map(int, size.split('x'))], preset)
            for size in args.sizes for preset in args.presets]
    print(f'{device_line()}; DenseCRF on {args.device}\n')
    what = 'a painted image' if args.image is None else 'a photograph'
    print(table(f'The CRF, {what}, median of {args.runs} alternating runs', COLUMNS, rows))


if __name__ == '__main__':
    main()
