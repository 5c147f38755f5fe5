# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Basis functions of a training set's classes."""

import hashlib
import io
import json
import logging
import os
from collections.abc import Sequence

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from rich.progress import MofNCompleteColumn, Progress, track

from mmseg_lrr.files import replacing
from mmseg_lrr.ops.bases import (
    MIN_CLASS_FRACTION,
    PATCH_SIZE,
    REFERENCE_NUM_PATCHES,
    TRIES_PER_MAP,
    basis_functions,
    dct_basis_functions,
    sample_patches,
)

from .label_maps import LabelMaps


def compute_class_bases(label_maps: LabelMaps, class_names: Sequence[str], num_bases: int, *,
                        num_patches: int = REFERENCE_NUM_PATCHES, seed: int = 0) -> np.ndarray:
    """Compute the basis functions of classes 0, 1, ... from a training set's label maps.

    Shows a progress bar. A class whose patches do not give ``num_bases`` functions (it has no
    pixels, is nowhere 2% of a 32x32 patch, or all its patches are alike) keeps the DCT functions
    of a head without data, with a logged warning that names it.

    Args:
        label_maps: The label maps.
        class_names: A name for each class, for the warnings.
        num_bases: Number of basis functions per class, K.
        num_patches: Number of patches wanted per class.
        seed: Seed of the random places.

    Returns:
        ``(num_classes, K, 32, 32)`` float32.

    Raises:
        ValueError: If no label but 0 and 255 occurs, or as :class:`LabelMaps` does.
    """
    bases = dct_basis_functions(len(class_names), num_bases)
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn()) as progress:
        tasks = {}

        def report(unit: str, done: int, total: int) -> None:
            if unit not in tasks:
                tasks[unit] = progress.add_task(f'Class bases: {unit}', total=total)
            progress.update(tasks[unit], completed=done)

        sample = sample_patches(
            label_maps, range(len(class_names)), num_patches=num_patches, seed=seed, report=report)
    if len(class_names) > 1 and np.flatnonzero(sample.pixels).tolist() == [0, 255]:
        raise ValueError(
            'only 0 and 255 occur in the training label maps, where 255 are pixels that do not '
            'count: if they are masks of 0 and 255, save them anew as 0 and 1, label_map // 255')
    warnings = []
    if sample.num_too_small:
        warnings.append(
            f'{sample.num_too_small} of {len(label_maps)} label maps have a side shorter than '
            f'{PATCH_SIZE} pixels and were not used for the class bases')
    for label in track(range(len(class_names)), 'Class bases: SVD'):
        patches = sample.patches[label]
        if not sample.pixels[label]:
            reason = 'no pixels in the training label maps'
        elif len(patches) == 0:
            reason = f'no {PATCH_SIZE}x{PATCH_SIZE} patch with {MIN_CLASS_FRACTION:.0%} of it'
        else:
            found = basis_functions(patches.unpack(), num_bases)
            if found[-1].any():
                bases[label] = found
                continue
            reason = f'{len(patches)} patches too alike to give {num_bases} basis functions'
        warnings.append(
            f'class {label} ("{class_names[label]}") has {reason}; it keeps the DCT functions')
    for warning in warnings:
        print_log(warning, logger='current', level=logging.WARNING)
    counts = [len(patches) for patches in sample.patches]
    print_log(
        f'class bases from {len(label_maps)} label maps in {sample.num_passes} passes: '
        f'{min(counts)} to {max(counts)} patches per class', logger='current')
    return bases


def dataset_class_names(dataset: BaseDataset, num_classes: int) -> list[str]:
    """Return a name for each class: the data set's where it has one, else the number."""
    names = list(dataset.metainfo.get('classes') or ())[:num_classes]
    return names + [str(label) for label in range(len(names), num_classes)]


def class_bases_fingerprint(label_maps: LabelMaps, class_names: Sequence[str], num_bases: int, *,
                            num_patches: int, seed: int) -> str:
    """Return a digest of all that decides what :func:`compute_class_bases` gives.

    The label files count by their paths, not by their contents.
    """
    description = {
        'files': label_maps.files,
        'mappings': label_maps.mappings,
        'classes': class_names,
        'num_bases': num_bases,
        'num_patches': num_patches,
        'seed': seed,
        'recipe': [PATCH_SIZE, TRIES_PER_MAP, MIN_CLASS_FRACTION],
    }
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def save_class_bases(path: str | os.PathLike, bases: np.ndarray) -> str:
    """Write bases, ``(num_classes, K, 32, 32)`` float32, as ``.npy``; return the file's SHA-256."""
    buffer = io.BytesIO()
    np.save(buffer, bases)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def load_class_bases(path: str | os.PathLike, num_classes: int, num_bases: int) -> np.ndarray:
    """Read bases as :func:`save_class_bases` writes them.

    Args:
        path: A ``.npy`` file.
        num_classes: Number of classes that the file must have.
        num_bases: K. A file with more basis functions per class serves too: they are ordered, and
            the first K are taken.

    Returns:
        ``(num_classes, K, 32, 32)`` float32.

    Raises:
        ValueError: If the file holds an array of another shape.
    """
    bases = np.load(path, allow_pickle=False)
    shape = (num_classes, max([num_bases, *bases.shape[1:2]]), PATCH_SIZE, PATCH_SIZE)
    if bases.shape != shape:
        raise ValueError(
            f'class bases in {path} have shape {bases.shape}, expected '
            f'({num_classes}, {num_bases} or more, {PATCH_SIZE}, {PATCH_SIZE})')
    return bases[:, :num_bases].astype(np.float32)
