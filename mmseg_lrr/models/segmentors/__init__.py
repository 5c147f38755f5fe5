# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Segmentors."""

from .lrr_cascade_encoder_decoder import LRRCascadeEncoderDecoder
from .lrr_encoder_decoder import LRREncoderDecoder
from .lrr_tta import LRRTTAModel

__all__ = ['LRRCascadeEncoderDecoder', 'LRREncoderDecoder', 'LRRTTAModel']
