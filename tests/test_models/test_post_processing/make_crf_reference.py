# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Write crf_reference.npz: what pydensecrf makes of a painted scene.

The tests compare with it where pydensecrf is not installed. Run this file in an environment that
has ``pydensecrf2``.
"""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from crf_references import SETTINGS, pydensecrf_inference, scene  # noqa: E402


def main() -> None:
    # An odd number of pixels: the reference code takes four at a time.
    image, probs = scene(seed=7, height=41, width=53, num_classes=4)
    arrays = {'image': image, 'probs': probs}
    for name, settings in SETTINGS.items():
        arrays[name] = pydensecrf_inference(image, probs, **settings)
    np.savez_compressed(HERE / 'crf_reference.npz', **arrays)


if __name__ == '__main__':
    main()
