# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Time DenseCRF beside pydensecrf, and compare their results and memory.

Prints one Markdown table. Runs of the two alternate, so that what else the machine does falls on
both; CPU seconds are those of all threads. Where pydensecrf is not installed
(``pip install pydensecrf2``), its columns stay empty.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import itertools
import multiprocessing
import platform
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

# Before the toolbox: it prepares the stack.
import mmseg_lrr  # noqa: F401

# isort: split
import numpy as np
import torch
from options import existing_device, whole
from PIL import Image
from scipy.ndimage import gaussian_filter

from mmseg_lrr.models.post_processing.dense_crf import PRESETS, DenseCRF

#: Width, height and classes of an image of VOC.
SIZE = '500x375x21'

COLUMNS = (
    'size', 'preset', 'CPU s', 'pydensecrf', 'ratio', 'wall s', 'pydensecrf', 'ratio',
    'peak GiB', 'estimated', 'pydensecrf', 'equal labels', 'greatest dQ')


def image_size(text: str) -> tuple[int, int, int]:
    """Type of an option: width, height and classes, as 500x375x21."""
    try:
        width, height, classes = text.split('x')
        return whole()(width), whole()(height), whole(2)(classes)
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise argparse.ArgumentTypeError(
            f'must be WIDTHxHEIGHTxCLASSES with at least 2 classes, got {text!r}') from error


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--image', type=Path, help='a photograph; without it, a painted image')
    parser.add_argument(
        '--sizes', nargs='+', type=image_size, default=[image_size(SIZE)], metavar='WxHxC',
        help=f'width, height and classes; 2048x1024x19 for Cityscapes (default: {SIZE})')
    parser.add_argument('--presets', nargs='+', choices=PRESETS, default=['kraehenbuehl'])
    parser.add_argument('--runs', type=whole(), default=5, help='runs of each, medians are printed')
    parser.add_argument('--threads', type=whole(), default=1, help="torch's CPU threads")
    parser.add_argument('--device', type=existing_device, default='cpu', help="DenseCRF's device")
    return parser.parse_args()


def make_inputs(
    path: Path | None, width: int, height: int, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return an image and probabilities that look like a network's.

    The image's grey values, smoothed, are cut into as many ranges as there are classes; the
    probabilities are the softmax of these segments, blurred, and of smooth errors.

    Returns:
        ``(H, W, 3)`` uint8, ``(C, H, W)`` float32.
    """
    rng = np.random.default_rng(0)
    if path is None:
        noise = [gaussian_filter(rng.normal(size=(height, width, 3)), (s, s, 0)) for s in (0.7, 9)]
        image = sum(part / part.std() * amount for part, amount in zip(noise, (8, 45), strict=True))
        image = np.clip(image + 128, 0, 255).astype(np.uint8)
    else:
        image = np.array(Image.open(path).convert('RGB').resize((width, height), Image.BICUBIC))
    grey = gaussian_filter(image.mean(axis=2), 3)
    limits = np.quantile(grey, np.linspace(0, 1, num_classes + 1)[1:-1])
    labels = np.digitize(grey, limits)
    logits = np.empty((num_classes, height, width), dtype=np.float32)
    for label in range(num_classes):
        error = gaussian_filter(rng.normal(size=(height, width)).astype(np.float32), 6)
        logits[label] = 6 * gaussian_filter((labels == label).astype(np.float32), 8) + 40 * error
    logits = np.exp(logits - logits.max(axis=0))
    return image, logits / logits.sum(axis=0)


def pydensecrf_inference(image: np.ndarray, probs: np.ndarray, preset: str) -> np.ndarray:
    from pydensecrf.densecrf import DenseCRF2D
    from pydensecrf.utils import unary_from_softmax

    settings = PRESETS[preset]
    num_classes, height, width = probs.shape
    crf = DenseCRF2D(width, height, num_classes)
    crf.setUnaryEnergy(np.ascontiguousarray(unary_from_softmax(probs)))
    crf.addPairwiseGaussian(sxy=settings['pos_std'], compat=settings['pos_weight'])
    crf.addPairwiseBilateral(
        sxy=settings['bilateral_std_xy'], srgb=settings['bilateral_std_rgb'], rgbim=image,
        compat=settings['bilateral_weight'])
    return np.array(crf.inference(settings['iterations'])).reshape(probs.shape)


def timed(function: Callable[[], np.ndarray]) -> tuple[np.ndarray, float, float]:
    """Return the result, the CPU seconds of all threads and the seconds on the clock."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = function()
    return result, time.process_time() - cpu, time.perf_counter() - wall


def _memory(field: str) -> float:
    """Return a field of the process's status in GiB: VmRSS now, VmHWM at most."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 2**20


def _peak_in_this_process(
    path: Path | None, size: tuple[int, int, int], preset: str, ours: bool
) -> float:
    torch.set_num_threads(1)
    image, probs = make_inputs(path, *size)
    crf = DenseCRF(preset=preset) if ours else None

    def run(rows: slice, columns: slice) -> np.ndarray:
        part = np.ascontiguousarray(image[rows, columns]), probs[:, rows, columns]
        return crf(*part) if crf else pydensecrf_inference(*part, preset)

    run(slice(0, 50), slice(0, 50))  # What is loaded at the first call is not counted.
    ctypes.CDLL('libc.so.6').malloc_trim(0)
    before = _memory('VmRSS')
    Path('/proc/self/clear_refs').write_text('5')  # The peak starts anew.
    run(slice(None), slice(None))
    return _memory('VmHWM') - before


def peak_memory(*args: object) -> float | None:
    """Return the GiB that a run takes beyond its inputs on one CPU thread; None if unknown."""
    if sys.platform != 'linux':
        return None
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn')) as pool:
        return pool.submit(_peak_in_this_process, *args).result()


def processor() -> str:
    """Return the CPU's name where the system tells it."""
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return f'{names[0]} ({len(names)} cores)' if names else platform.machine()


def cell(value: float | None, pattern: str) -> str:
    return '-' if value is None else format(value, pattern)


def row(args: argparse.Namespace, size: tuple[int, int, int], preset: str) -> list[str]:
    """Measure one size and one preset."""
    image, probs = make_inputs(args.image, *size)
    crf = DenseCRF(preset=preset, threads=args.threads)
    on_device = torch.tensor(probs, device=args.device)
    has_reference = importlib.util.find_spec('pydensecrf') is not None

    times, reference_times = [], []
    crf(image, on_device)  # The first call also loads libraries.
    for _ in range(args.runs):
        if has_reference:
            expected, *spent = timed(lambda: pydensecrf_inference(image, probs, preset))
            reference_times.append(spent)
        result, *spent = timed(lambda: crf(image, on_device).cpu().numpy())
        times.append(spent)

    cells = ['x'.join(map(str, size)), preset]
    for kind in range(2):
        ours = median(spent[kind] for spent in times)
        theirs = ratio = None
        if has_reference:
            theirs = median(spent[kind] for spent in reference_times)
            pairs = zip(times, reference_times, strict=True)
            ratio = median(spent[kind] / reference[kind] for spent, reference in pairs)
        cells += [cell(ours, '.2f'), cell(theirs, '.2f'), cell(ratio, '.2f')]
    theirs = peak_memory(args.image, size, preset, False) if has_reference else None
    cells.append(cell(peak_memory(args.image, size, preset, True), '.3f'))
    cells += [cell(crf.estimate_memory(image, size[2]), '.3f'), cell(theirs, '.3f')]
    equal = difference = None
    if has_reference:
        equal = (result.argmax(0) == expected.argmax(0)).mean()
        difference = np.abs(result - expected).max()
    return cells + [cell(equal, '.4%'), cell(difference, '.1e')]


def main() -> None:
    args = parse_args()
    where = processor()
    if args.device != 'cpu':
        where += f', DenseCRF on {torch.cuda.get_device_name(args.device)}'
    print(
        f'{where}; torch {torch.__version__}, {args.threads} thread(s); median of {args.runs} '
        f'alternating runs; {"a painted image" if args.image is None else "a photograph"}; memory '
        'on one CPU thread\n'
    )
    print('| ' + ' | '.join(COLUMNS) + ' |')
    print('|' + ' --- |' * len(COLUMNS))
    for size, preset in itertools.product(args.sizes, args.presets):
        cells = row(args, size, preset)
        print('| ' + ' | '.join(cells) + ' |', flush=True)


if __name__ == '__main__':
    main()
