# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Hooks of the runner."""

from .class_bases_hook import ClassBasesHook
from .coefficient_rates_hook import CoefficientRatesHook
from .lrr_checkpoint_hook import LRRCheckpointHook
from .lrr_visualization_hook import LRRVisualizationHook
from .non_finite_hook import NonFiniteHook
from .progress_bar_hook import ProgressBarHook
from .reset_momentum_hook import ResetMomentumHook

__all__ = ['ClassBasesHook', 'CoefficientRatesHook', 'LRRCheckpointHook', 'LRRVisualizationHook',
           'NonFiniteHook', 'ProgressBarHook', 'ResetMomentumHook']
