# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Time the class bases of PASCAL VOC and set them beside another set, such as the authors'.

The basis functions of one class are timed beside a plain SVD of its patches, in turn.
"""

from __future__ import annotations

import argparse
from pathlib import Path

# Before the toolbox: it prepares the stack.
import mmseg_lrr  # noqa: F401

# isort: split
import numpy as np
from mmengine.registry import init_default_scope
from mmseg.datasets import BaseSegDataset, PascalVOCDataset
from options import whole
from side_by_side import device_line, seconds, table

from mmseg_lrr.datasets.class_bases import compute_class_bases
from mmseg_lrr.datasets.label_maps import LabelMaps
from mmseg_lrr.ops.bases import (
    basis_functions,
    dct_basis_functions,
    resize_bases,
    sample_patches,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Compute the bases of PASCAL VOC's classes, print the seconds and, with "
        '--reference, for each class the cosines of the principal angles between the spans of '
        'the two sets at 8x8 and the ratios of their norms.'
    )
    parser.add_argument('data_root', type=Path, help="folder in VOC's layout")
    parser.add_argument('--ann-file', default='ImageSets/Segmentation/train_labels_only.txt')
    parser.add_argument('--seg-map-path', default='SegmentationClassAug')
    parser.add_argument(
        '--reference', type=Path, help='.npy of shape (8, 8, 1, classes * K), class-major'
    )
    parser.add_argument('--patches', type=whole(10), default=10_000)
    parser.add_argument('--seed', type=whole(0), default=0)
    parser.add_argument('--num-bases', type=whole(), default=10)
    parser.add_argument('--runs', type=whole(), default=3, help='rounds (default: %(default)s)')
    return parser.parse_args()


def principal_cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the cosines of the principal angles between two spans, falling.

    Args:
        first: ``(K, h, w)``.
        second: ``(K, h, w)``.
    """
    spans = [np.linalg.qr(b.reshape(len(b), -1).T.astype(np.float64))[0] for b in (first, second)]
    return np.linalg.svd(spans[0].T @ spans[1], compute_uv=False)


def norms(bases: np.ndarray) -> np.ndarray:
    """Return the norm of each basis function, ``(K,)``."""
    return np.linalg.norm(bases.reshape(len(bases), -1), axis=1)


def print_comparison(bases: np.ndarray, reference: np.ndarray, names: list[str]) -> None:
    """Print one line for each class, and one for the DCT functions' mean over classes."""
    print(f'{"class":<13}  {"cosines of principal angles":<60}  norm ratios, least..greatest')
    for label, name in enumerate(names):
        cosines = principal_cosines(bases[label], reference[label])
        ratios = norms(bases[label]) / norms(reference[label])
        row = ' '.join(f'{cosine:.3f}' for cosine in cosines)
        print(f'{name:<13}  {row:<60}  {ratios.min():.3f}..{ratios.max():.3f}')
    dct = resize_bases(dct_basis_functions(1, bases.shape[1]), bases.shape[-1]).numpy()[0]
    least = [principal_cosines(dct, other).min() for other in reference]
    ratios = np.array([norms(dct) / norms(other) for other in reference])
    print(
        f'DCT functions instead: least cosine {min(least):.3f}..{max(least):.3f}, '
        f'norm ratios {ratios.min():.3f}..{ratios.max():.3f}'
    )


def plain_svd(patches: np.ndarray, num_bases: int) -> np.ndarray:
    """The basis functions but for their scale and signs, as the spec writes them."""
    rows = patches.reshape(len(patches), -1).astype(np.float64)
    _, values, vectors = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    return np.sqrt(values[:num_bases, None]) * vectors[:num_bases]


def main() -> None:
    args = parse_args()
    init_default_scope('mmseg')
    dataset = BaseSegDataset(
        data_root=str(args.data_root),
        ann_file=args.ann_file,
        data_prefix=dict(img_path='JPEGImages', seg_map_path=args.seg_map_path),
        metainfo=dict(PascalVOCDataset.METAINFO),
    )
    names = list(dataset.metainfo['classes'])
    maps = LabelMaps(dataset)
    bases = None

    def compute() -> None:
        nonlocal bases
        bases = compute_class_bases(
            maps, names, args.num_bases, num_patches=args.patches, seed=args.seed)

    (packed, ) = sample_patches(maps, [0], num_patches=args.patches, seed=args.seed).patches
    patches = packed.unpack()
    rows = []
    for number in sorted({args.patches // 10, args.patches // 3, args.patches}):
        taken = seconds({
            'svd': lambda number=number: plain_svd(patches[:number], args.num_bases),
            'ours': lambda number=number: basis_functions(patches[:number], args.num_bases),
        }, args.runs)
        rows.append((number, taken['svd'], taken['ours'], taken['svd'] / taken['ours']))
    whole = seconds({'all': compute}, args.runs)['all']
    print(f'{device_line()}; median of {args.runs}\n')
    print(table('Basis functions of one class, seconds', ('patches', 'SVD', 'ours', 'ratio'), rows))
    print(f'All of it, {len(names)} classes from {len(dataset)} label maps: {whole:.1f} s\n')
    if args.reference is not None:
        reference = np.load(args.reference)
        expected = (8, 8, 1, len(names) * args.num_bases)
        if reference.shape != expected:
            raise SystemExit(f'{args.reference} has shape {reference.shape}, expected {expected}')
        reference = reference[:, :, 0].transpose(2, 0, 1).reshape(len(names), -1, 8, 8)
        print_comparison(resize_bases(bases, 8).numpy(), reference, names)


if __name__ == '__main__':
    main()
