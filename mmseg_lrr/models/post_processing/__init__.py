# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What is done to class probabilities after the network."""

from .dense_crf import DenseCRF

__all__ = ['DenseCRF']
