# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""One label map to convert: from its source to an indexed PNG that is checked."""

from __future__ import annotations

import struct
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import mmcv
import numpy as np
from PIL import Image

from mmseg_lrr.evaluation.label_png import save_label_png

#: What becomes of a label map: not there before, there but not what it should be, there as it
#: should be, not wanted (too little is labelled), and not to be had.
STATUSES = ('written', 'replaced', 'kept', 'left out', 'broken')

# What damaged files make Pillow raise besides OSError; ours are ValueErrors.
_DAMAGED = (SyntaxError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
_UNREADABLE = (*_DAMAGED, OSError, ValueError)

IGNORED = 255


@dataclass(frozen=True)
class Outcome:
    """What became of one label map.

    Attributes:
        name: The image's name.
        status: One of :data:`STATUSES`.
        problem: What is wrong, for a broken one.
    """

    name: str
    status: str
    problem: str | None = None


@dataclass(frozen=True)
class LabelJob(ABC):
    """A label map to make.

    Attributes:
        name: The image's name, for lists and messages.
        target: PNG file to write.
        image: The photograph, which must be there, whole, and as large as the labels.
    """

    name: str
    target: Path
    image: Path

    #: Values that a label map may have.
    allowed: ClassVar[frozenset[int]]
    #: Colours of the PNG, ``(256, 3)``; None for a greyscale one.
    palette: ClassVar[np.ndarray | None] = None

    @abstractmethod
    def labels(self) -> np.ndarray | None:
        """Make the labels from their source.

        Returns:
            ``(H, W)`` integers, or None if the image is to be left out.

        Raises:
            OSError, ValueError: If the source is missing or broken; the message says which.
        """

    def run(self, dry_run: bool) -> Outcome:
        """Convert, unless the target already holds exactly what would be written.

        Args:
            dry_run: Do everything but write.
        """
        try:
            labels = self.labels()
            if labels is None:
                return Outcome(self.name, 'left out')
            self._check(labels)
        except _UNREADABLE as error:
            return Outcome(self.name, 'broken', f'{self.name}: {error}')
        status = 'written'
        if self.target.exists():
            if np.array_equal(_read_or_none(self.target), labels):
                return Outcome(self.name, 'kept')
            status = 'replaced'
        if not dry_run:
            save_label_png(self.target, labels, self.palette)
        return Outcome(self.name, status)

    def _check(self, labels: np.ndarray) -> None:
        """Raise unless values and size are right."""
        strange = sorted(set(np.unique(labels).tolist()) - self.allowed)
        if strange:
            raise ValueError(f'the labels have values {strange[:5]} that are no class')
        stored, (width, height) = _image_sizes(self.image)
        if labels.shape != (height, width):
            turned = ' as its EXIF orientation turns it' * (stored != (width, height))
            raise ValueError(
                f'the labels are of {labels.shape[1]}x{labels.shape[0]} pixels, the image '
                f'{self.image} of {width}x{height}{turned}'
            )


def _image_sizes(path: Path) -> tuple[tuple[int, int], tuple[int, int]]:
    """Read a photograph to its end; give its ``(width, height)`` as stored and as training sees it.

    Raises:
        OSError, ValueError: If it is missing or damaged.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f'the image {path} is missing') from None
    try:
        # The toolbox's loader takes a JPEG that ends too early, and fills it up with grey.
        with Image.open(path) as image:
            image.load()
            stored = image.size
    except _UNREADABLE as error:
        raise ValueError(f'the image {path} cannot be read: {error}') from error
    pixels = mmcv.imfrombytes(content, backend='cv2')
    if pixels is None:
        raise ValueError(f'the image {path} cannot be read by the toolbox (OpenCV)')
    return stored, (pixels.shape[1], pixels.shape[0])


def read_png(path: Path) -> np.ndarray:
    """Read the values of an indexed or greyscale 8-bit PNG, ``(H, W)`` uint8.

    Raises:
        OSError, ValueError: If it is missing, damaged, or of another kind.
    """
    try:
        with Image.open(path, formats=['PNG']) as image:
            image.load()
            if image.mode not in ('P', 'L'):
                raise ValueError(f'{path} is a PNG of mode {image.mode}, expected P or L')
            return np.asarray(image)
    except FileNotFoundError:
        raise FileNotFoundError(f'{path} is missing') from None
    except (*_DAMAGED, OSError) as error:
        raise ValueError(f'{path} cannot be read: {error}') from error


def _read_or_none(path: Path) -> np.ndarray | None:
    """Read a label map; None if it is damaged, which is to be replaced like one that differs."""
    try:
        return read_png(path)
    except (OSError, ValueError):
        return None
