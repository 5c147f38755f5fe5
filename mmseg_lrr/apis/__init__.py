# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Functions to use the package from Python."""

from .inference import inference_model_tta, init_model_tta

__all__ = ['inference_model_tta', 'init_model_tta']
