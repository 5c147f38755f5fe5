# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The fully connected CRF that sharpens a network's class probabilities along image edges."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_lrr.ops import checks
from mmseg_lrr.ops.mean_field import log_probabilities, mean_field, peak_bytes, renormalise
from mmseg_lrr.ops.permutohedral import Embedding, Lattice, build_lattice, embed, normalise

#: Published settings: what each parameter of the CRF is.
PRESETS: dict[str, dict[str, float]] = {
    # The example that comes with Kraehenbuehl and Koltun's densecrf code.
    'kraehenbuehl': dict(
        iterations=10, pos_weight=3, pos_std=3,
        bilateral_weight=10, bilateral_std_xy=80, bilateral_std_rgb=13),
    # DeepLab-CRF-LargeFOV (Chen et al., ICLR 2015).
    'deeplab_v1': dict(
        iterations=10, pos_weight=3, pos_std=3,
        bilateral_weight=4, bilateral_std_xy=121, bilateral_std_rgb=5),
    # DeepLab v2 (Chen et al., 2016), VGG-16 and ResNet-101.
    'deeplab_v2_vgg16': dict(
        iterations=10, pos_weight=2, pos_std=2,
        bilateral_weight=4, bilateral_std_xy=65, bilateral_std_rgb=3),
    'deeplab_v2_resnet101': dict(
        iterations=10, pos_weight=3, pos_std=1,
        bilateral_weight=4, bilateral_std_xy=67, bilateral_std_rgb=3),
}

#: Probabilities below this count as this; pydensecrf's ``unary_from_softmax`` has the same floor.
PROBABILITY_FLOOR = 1e-5

# Values that a softmax map can take when it was resized with bicubic interpolation: the positive
# weights of one axis sum to at most 1.1875, those of two axes' products to 1.45 (and the negative
# ones to -0.45). Anything further out is no probability; most likely it is a logit.
_PROBABILITY_RANGE = (-0.5, 1.5)


# Far beyond what serves; much more, and float32 or the threads' own memory would not hold it.
_MAX_WEIGHT = 1e6
_MAX_THREADS = 1024


@contextmanager
def _torch_threads(threads: int | None) -> Iterator[None]:
    """Let torch use this many CPU threads for a while; None changes nothing."""
    if threads is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@MODELS.register_module()
class DenseCRF(nn.Module):
    """Fully connected CRF: Potts model, mean field, Gaussian and bilateral kernels.

    Source: Kraehenbuehl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian
    Edge Potentials" (NIPS 2011). The results are those of their densecrf code (and of its wrapper
    pydensecrf) with symmetric normalisation, its default. It has nothing to learn and passes no
    gradient. It runs on the device of the probabilities.

    With no settings it is the example of the densecrf code. Values that are given override those
    of the preset.

    Args:
        preset: Name of a published setting: ``'kraehenbuehl'``, ``'deeplab_v1'``,
            ``'deeplab_v2_vgg16'`` or ``'deeplab_v2_resnet101'``.
        iterations: Mean-field iterations, >= 0.
        pos_weight: Weight of the Gaussian kernel over positions, 0 to 1e6; 0 leaves the kernel out.
        pos_std: Its standard deviation in pixels of the image, > 0.
        bilateral_weight: Weight of the Gaussian kernel over positions and colours together,
            0 to 1e6; 0 leaves the kernel out.
        bilateral_std_xy: Its standard deviation in pixels of the image, > 0.
        bilateral_std_rgb: Its standard deviation in colour values (0..255), > 0.
        threads: CPU threads during a call, 1 to 1024; None for as many as torch uses anyway.
        max_memory: GiB that a call may need beyond its inputs. A call that would need more is
            refused before the inference starts.
    """

    def __init__(
        self,
        *,
        preset: str = 'kraehenbuehl',
        iterations: int | None = None,
        pos_weight: float | None = None,
        pos_std: float | None = None,
        bilateral_weight: float | None = None,
        bilateral_std_xy: float | None = None,
        bilateral_std_rgb: float | None = None,
        threads: int | None = None,
        max_memory: float = 8.0,
    ) -> None:
        super().__init__()
        values = dict(PRESETS[checks.one_of('preset', preset, PRESETS)])
        given = dict(
            iterations=iterations, pos_weight=pos_weight, pos_std=pos_std,
            bilateral_weight=bilateral_weight, bilateral_std_xy=bilateral_std_xy,
            bilateral_std_rgb=bilateral_std_rgb)
        values.update({name: value for name, value in given.items() if value is not None})
        self.iterations = checks.integer('iterations', values.pop('iterations'), 0)
        for name, value in values.items():
            is_weight = name.endswith('weight')
            setattr(self, name, checks.number(
                name, value, 0, inclusive=is_weight, maximum=_MAX_WEIGHT if is_weight else None))
        self.threads = (
            None if threads is None else checks.integer('threads', threads, 1, _MAX_THREADS))
        self.max_memory = checks.number('max_memory', max_memory, 0, inclusive=False)

    def extra_repr(self) -> str:
        """Name the settings where the module is printed."""
        names = (*PRESETS['kraehenbuehl'], 'threads', 'max_memory')
        return ', '.join(f'{name}={getattr(self, name)}' for name in names)

    @torch.no_grad()
    def forward(
        self, image: np.ndarray | Tensor, probs: np.ndarray | Tensor
    ) -> np.ndarray | Tensor:
        """Run the CRF on one image.

        Args:
            image: ``(H, W, 3)`` uint8, RGB.
            probs: ``(C, H, W)`` floating point, class probabilities in [0, 1]. They need not sum
                to 1 (after a maximum over scales they do not): they are renormalised, and then
                those below 1e-5 count as 1e-5, as in pydensecrf's ``unary_from_softmax``. Small
                excursions beyond [0, 1], as bicubic resizing makes them, are allowed; negative
                values count as 0, and a pixel whose values are all 0 as one that knows nothing.

        Returns:
            ``(C, H, W)`` float32: the marginals Q, which sum to 1 over the classes; a tensor on
            the same device where ``probs`` is a tensor, else an array. Where no kernel has a
            weight or there are no iterations, they are the renormalised probabilities themselves.

        Raises:
            TypeError: the image is not uint8 or the probabilities are not floating point.
            ValueError: wrong or different sizes, values that are no probabilities, or standard
                deviations too small for an image of this size.
            MemoryError: the call would need more than ``max_memory``.
        """
        pixels, unary = self._tensors(image, probs)
        with _torch_threads(self.threads):
            marginals = self._infer(pixels, unary)
        return marginals if isinstance(probs, Tensor) else marginals.numpy()

    @torch.no_grad()
    def estimate_memory(self, image: np.ndarray | Tensor, num_classes: int) -> float:
        """Say how much memory a call needs beyond its inputs.

        How much the lattices take depends on the colours, so the image is placed in them, which
        is a small part of a call's work.

        Args:
            image: ``(H, W, 3)`` uint8, RGB.
            num_classes: C of the probabilities.

        Returns:
            GiB at the peak.
        """
        pixels = self._image_tensor(image)
        num_classes = checks.integer('num_classes', num_classes, 1)
        num_points = pixels.shape[0] * pixels.shape[1]
        if not self._changes_anything():
            return 4 * num_classes * num_points / 2**30
        embeddings = [embedding for embedding, _ in self._embed(pixels)]
        return peak_bytes(num_points, num_classes, embeddings) / 2**30

    def _changes_anything(self) -> bool:
        return self.iterations > 0 and (self.pos_weight > 0 or self.bilateral_weight > 0)

    def _infer(self, image: Tensor, probs: Tensor) -> Tensor:
        """Run the CRF on an image and probabilities that were checked."""
        num_classes, height, width = probs.shape
        flat = probs.view(num_classes, -1)
        if not self._changes_anything():
            return renormalise(flat.to(torch.float32)).view(probs.shape)
        # The unary energies and Q; what else is needed shows when the pixels are placed.
        self._check_memory(8 * probs.numel(), probs.shape, 'at least')
        embeddings = self._embed(image)
        needed = peak_bytes(height * width, num_classes, [placed for placed, _ in embeddings])
        self._check_memory(needed, probs.shape, 'about')
        lattices = []
        while embeddings:
            # Popped and handed on, so that each embedding is freed when its lattice is made.
            lattices.append(_weighted_lattice(*embeddings.pop()))
        unary = log_probabilities(flat, PROBABILITY_FLOOR)
        marginals = mean_field(unary, lattices, self.iterations)
        del unary, lattices
        return marginals.t().contiguous().view(num_classes, height, width)

    def _embed(self, image: Tensor) -> list[tuple[Embedding, float]]:
        """Place the pixels in the lattice of each kernel that has a weight."""
        height, width = image.shape[:2]
        y, x = torch.meshgrid(
            torch.arange(height, dtype=torch.float32, device=image.device),
            torch.arange(width, dtype=torch.float32, device=image.device),
            indexing='ij',
        )
        places = torch.stack((x, y)).view(2, -1)
        embeddings = []
        # The bilateral kernel first: placing its points takes most memory.
        if self.bilateral_weight:
            xy, rgb = self.bilateral_std_xy, self.bilateral_std_rgb
            # The densecrf code takes four points at a time. It fills the last four up with points
            # at the origin of places and colours, and their vertices stay in its lattice.
            num_points = height * width
            features = torch.zeros(5, num_points + -num_points % 4, device=image.device)
            features[:2, :num_points] = places / xy
            features[2:, :num_points] = image.view(-1, 3).t()
            features[2:] /= rgb
            placed = _place(
                features, (1, 0, 2, 3, 4), -num_points % 4,
                bilateral_std_xy=xy, bilateral_std_rgb=rgb)
            embeddings.append((placed, self.bilateral_weight))
        if self.pos_weight:
            # Here the first pixel is at the origin.
            placed = _place(places / self.pos_std, (1, 0), 0, pos_std=self.pos_std)
            embeddings.append((placed, self.pos_weight))
        return embeddings

    def _check_memory(self, needed: int, shape: torch.Size, how_exact: str) -> None:
        """Refuse a call that needs more bytes than allowed."""
        if needed > self.max_memory * 2**30:
            num_classes, height, width = shape
            raise MemoryError(
                f'the CRF needs {how_exact} {needed / 2**30:.2g} GiB for {width}x{height} pixels '
                f'and {num_classes} classes, more than max_memory = {self.max_memory:g} GiB: '
                'raise max_memory or give it a smaller image'
            )

    @staticmethod
    def _image_tensor(image: np.ndarray | Tensor) -> Tensor:
        """Return the image as a contiguous tensor, or say what is wrong with it."""
        _check_kind('image', image)
        if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ValueError(f'image must be (H, W, 3) RGB, got shape {tuple(image.shape)}')
        if image.dtype not in (torch.uint8, np.uint8):
            raise TypeError(f'image must be uint8, got {image.dtype}')
        return _as_tensor(image)

    def _tensors(
        self, image: np.ndarray | Tensor, probs: np.ndarray | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return both inputs as contiguous tensors, or say what is wrong with them."""
        pixels = self._image_tensor(image)
        _check_kind('probs', probs)
        if probs.ndim != 3 or 0 in probs.shape or probs.shape[1:] != pixels.shape[:2]:
            height, width = pixels.shape[:2]
            raise ValueError(
                f'probs must be (C, H, W) with the image\'s H = {height} and W = {width}, '
                f'got shape {tuple(probs.shape)}'
            )
        floating = (
            probs.is_floating_point() if isinstance(probs, Tensor)
            else np.issubdtype(probs.dtype, np.floating)
        )
        if not floating:
            raise TypeError(f'probs must be floating point, got {probs.dtype}')
        probs = _as_tensor(probs)
        low, high = torch.stack(torch.aminmax(probs)).tolist()
        if not (_PROBABILITY_RANGE[0] <= low and high <= _PROBABILITY_RANGE[1]):
            raise ValueError(
                f'probs must be probabilities in [0, 1], got values from {low:.4g} to {high:.4g}; '
                'take the softmax of logits first'
            )
        return pixels.to(probs.device), probs


def _place(
    features: Tensor, slowest_first: tuple[int, ...], num_empty: int, **deviations: float
) -> Embedding:
    """Place points in the lattice; an error names the deviations that the features come from."""
    try:
        return embed(features, slowest_first, num_empty)
    except ValueError as error:
        names = ', '.join(f'{name}={value:g}' for name, value in deviations.items())
        raise ValueError(f'{names} does not suit this image: {error}') from error


def _weighted_lattice(embedding: Embedding, weight: float) -> Lattice:
    return normalise(build_lattice(embedding), weight)


def _check_kind(name: str, value: object) -> None:
    if not isinstance(value, np.ndarray | Tensor):
        raise TypeError(f'{name} must be an array or a tensor, got {type(value).__name__}')


def _as_tensor(value: np.ndarray | Tensor) -> Tensor:
    """Return a contiguous tensor; it shares the memory where it can."""
    if isinstance(value, Tensor):
        return value.detach().contiguous()
    # torch takes neither negative strides nor, without a warning, read-only arrays.
    return torch.from_numpy(np.require(value, requirements=['C', 'W']))
