# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The fully connected CRF that sharpens a network's class probabilities along image edges."""

from __future__ import annotations

import math

import numpy as np
import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_lrr.ops import checks
from mmseg_lrr.ops.mean_field import log_probabilities, mean_field, renormalise
from mmseg_lrr.ops.permutohedral import Lattice, build_lattice, normalise

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


@MODELS.register_module()
class DenseCRF(nn.Module):
    """Fully connected CRF: Potts model, mean field, Gaussian and bilateral kernels.

    The results are those of Kraehenbuehl and Koltun's densecrf code (and of its wrapper
    pydensecrf) with symmetric normalisation, its default. It has nothing to learn, passes no
    gradient and runs on the device of the probabilities.

    Source: Kraehenbuehl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian
    Edge Potentials" (NIPS 2011).

    Args:
        preset: Name of a published setting: ``'kraehenbuehl'``, ``'deeplab_v1'``,
            ``'deeplab_v2_vgg16'`` or ``'deeplab_v2_resnet101'``. The other options override it.
        iterations: Number of mean-field iterations.
        pos_weight: Weight of the Gaussian kernel over positions; 0 leaves the kernel out.
        pos_std: Its standard deviation in pixels of the image.
        bilateral_weight: Weight of the Gaussian kernel over positions and colours together; 0
            leaves the kernel out.
        bilateral_std_xy: Its standard deviation in pixels of the image.
        bilateral_std_rgb: Its standard deviation in colour values (0..255).
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
    ) -> None:
        super().__init__()
        published = PRESETS[checks.one_of('preset', preset, PRESETS)]

        def value(name: str, given: float | None) -> float:
            return published[name] if given is None else given

        self.iterations = checks.integer('iterations', value('iterations', iterations), 0)
        self.pos_weight = value('pos_weight', pos_weight)
        self.pos_std = value('pos_std', pos_std)
        self.bilateral_weight = value('bilateral_weight', bilateral_weight)
        self.bilateral_std_xy = value('bilateral_std_xy', bilateral_std_xy)
        self.bilateral_std_rgb = value('bilateral_std_rgb', bilateral_std_rgb)
        for name in ('pos_std', 'bilateral_std_xy', 'bilateral_std_rgb'):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f'{name} must be a finite number > 0, got {getattr(self, name)}')

    def extra_repr(self) -> str:
        """Name the settings where the module is printed."""
        return ', '.join(f'{name}={getattr(self, name)}' for name in PRESETS['kraehenbuehl'])

    @torch.no_grad()
    def forward(
        self, image: np.ndarray | Tensor, probs: np.ndarray | Tensor
    ) -> np.ndarray | Tensor:
        """Run the CRF on one image.

        Args:
            image: ``(H, W, 3)``, RGB, 0 to 255.
            probs: ``(C, H, W)`` floating point, class probabilities. They need not sum to 1 (after
                a maximum over scales they do not): they are renormalised, and then those below
                1e-5 count as 1e-5, as in pydensecrf's ``unary_from_softmax``. Negative values, as
                bicubic resizing makes them, count as 0, and a pixel whose values are all 0 as one
                that knows nothing.

        Returns:
            ``(C, H, W)`` float32: the marginals Q, which sum to 1 over the classes; a tensor on
            the same device where ``probs`` is a tensor, else an array. Where no kernel has a
            weight or there are no iterations, they are the renormalised probabilities themselves.

        Raises:
            ValueError: The sizes differ, or the standard deviations are too small for the image.
        """
        if tuple(image.shape) != (*probs.shape[1:], 3):
            raise ValueError('the CRF takes an image (H, W, 3) and probabilities (C, H, W), got '
                             f'{tuple(image.shape)} and {tuple(probs.shape)}')
        values = _as_tensor(probs)
        flat = values.view(len(values), -1)
        lattices = self._lattices(_as_tensor(image).to(values.device)) if self.iterations else []
        if lattices:
            unary = log_probabilities(flat, PROBABILITY_FLOOR)
            marginals = mean_field(unary, lattices, self.iterations).t().contiguous()
        else:
            marginals = renormalise(flat.to(torch.float32))
        marginals = marginals.view(values.shape)
        return marginals if isinstance(probs, Tensor) else marginals.numpy()

    def _lattices(self, image: Tensor) -> list[Lattice]:
        """Place the pixels in the lattice of each kernel that has a weight."""
        height, width = image.shape[:2]
        y, x = torch.meshgrid(
            torch.arange(height, dtype=torch.float32, device=image.device),
            torch.arange(width, dtype=torch.float32, device=image.device),
            indexing='ij',
        )
        places = torch.stack((x, y)).view(2, -1)
        lattices = []
        if self.pos_weight:
            # Here the first pixel is at the origin.
            lattice = build_lattice(places / self.pos_std, (1, 0))
            lattices.append(normalise(lattice, self.pos_weight))
        if self.bilateral_weight:
            # The densecrf code takes four points at a time. It fills the last four up with points
            # at the origin of places and colours, and their vertices stay in its lattice.
            num_points = height * width
            num_empty = -num_points % 4
            features = torch.zeros(5, num_points + num_empty, device=image.device)
            features[:2, :num_points] = places / self.bilateral_std_xy
            features[2:, :num_points] = image.view(-1, 3).t()
            features[2:] /= self.bilateral_std_rgb
            lattice = build_lattice(features, (1, 0, 2, 3, 4), num_empty)
            lattices.append(normalise(lattice, self.bilateral_weight))
        return lattices


def _as_tensor(value: np.ndarray | Tensor) -> Tensor:
    """Return a contiguous tensor; it shares the memory where it can."""
    if isinstance(value, np.ndarray):
        # torch takes neither negative strides nor, without a warning, read-only arrays.
        value = torch.from_numpy(np.require(value, requirements=['C', 'W']))
    return value.contiguous()
