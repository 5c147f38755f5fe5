# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What two of the toolbox's own scripts need in order to run at all.

Both fail on every config of MMSegmentation 1.2.2, not on this package's alone. The repairs hold
while a script runs and change no file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mmengine.analysis
import numpy as np
from mmseg.visualization import SegLocalVisualizer


@contextmanager
def repaired() -> Iterator[None]:
    """Repair the toolbox for the time of a ``with`` block.

    * ``get_flops.py`` gives mmengine a shape and an input, which refuses to have both
      (MMSegmentation's issue 2958): the input counts.
    * ``browse_dataset.py`` gives the visualiser a view of an image that OpenCV cannot draw on
      (MMSegmentation's issue 3405): it gets a copy.
    """
    complexity = mmengine.analysis.get_model_complexity_info
    draw = SegLocalVisualizer.add_datasample

    def of_inputs(model: Any, input_shape: Any = None, inputs: Any = None, **options: Any) -> dict:
        return complexity(model, None if inputs is not None else input_shape, inputs, **options)

    def of_a_copy(self: Any, name: str, image: np.ndarray, *args: Any, **options: Any) -> None:
        draw(self, name, np.ascontiguousarray(image), *args, **options)

    mmengine.analysis.get_model_complexity_info = of_inputs
    SegLocalVisualizer.add_datasample = of_a_copy
    try:
        yield
    finally:
        mmengine.analysis.get_model_complexity_info = complexity
        SegLocalVisualizer.add_datasample = draw
