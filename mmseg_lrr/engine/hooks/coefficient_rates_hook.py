# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Learning rates of the coefficient convolutions that follow from the features they read."""

import torch
from mmengine import dist
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor

from mmseg_lrr.models.layers import CoefficientConv

#: Inputs of RMS 1 at which the head's rate is taken as it is: those of a usual classifier.
REFERENCE_INPUTS = 512
#: Sum of the squares of a class's basis functions at a pixel: about 3.5 squared on all data.
BASES_GAIN = 12


def coefficient_rate(inputs: int, mean_square: float, adaptive: bool) -> float:
    """Factor of the rate of a filter with so many inputs (channels times taps).

    A step of SGD moves a score by rate * inputs * mean square of the feature * gain of the bases,
    through which the gradient comes back too; one of Adam, whose steps do not depend on the
    gradient's size, by rate * inputs * root mean square. The factor makes both what they are for
    512 inputs of mean square 1 (docs/method.md, "Training").
    """
    if adaptive:
        return REFERENCE_INPUTS / (inputs * mean_square**0.5)
    return REFERENCE_INPUTS / (inputs * mean_square * BASES_GAIN)


@HOOKS.register_module()
class CoefficientRatesHook(Hook):
    """Give each coefficient convolution a rate that follows from its feature map.

    At the first iteration of a training (not of a resumed one: the checkpoint's optimiser has the
    rates) the mean square of every feature map is measured on the first batch of all processes,
    and the rate of the filters that read it, DE's included, is multiplied by
    :func:`coefficient_rate`. So one rate of the head serves all levels, filter sizes and
    backbones. The filters must have parameter groups of their own, which the default constructor of
    the optimiser makes with any ``paramwise_cfg``, such as ``dict(custom_keys={'decode_head':
    dict(lr_mult=1)})``. A schedule's absolute ``eta_min`` is nobody's share; 0 is best.
    """

    def before_train(self, runner: Runner) -> None:
        """Watch the coefficient convolutions until they have read their first feature map.

        Args:
            runner: The runner, about to train.

        Raises:
            ValueError: A filter shares its parameter group with other parameters.
        """
        if runner.iter > 0:
            return
        for name, module in runner.model.named_modules():
            if isinstance(module, CoefficientConv) and module.weight.requires_grad:
                index, alone = next(
                    (index, len(group['params']) == 1)
                    for index, group in enumerate(runner.optim_wrapper.param_groups)
                    if any(module.weight is parameter for parameter in group['params']))
                if not alone:
                    raise ValueError(
                        'CoefficientRatesHook needs a parameter group for each filter, as '
                        'DefaultOptimWrapperConstructor makes them: set optim_wrapper.paramwise_cfg'
                        ", e.g. to dict(custom_keys={'decode_head': dict(lr_mult=1)})")
                self._watch(runner, name, module, index)

    def _watch(self, runner: Runner, name: str, conv: CoefficientConv, index: int) -> None:

        def set_rate(conv: CoefficientConv, inputs: tuple[Tensor]) -> None:
            square = inputs[0].detach().float().square().mean()
            dist.all_reduce(square, 'mean')
            if not 0 < square < float('inf'):
                return  # says nothing; the next batch will
            handle.remove()
            adaptive = not isinstance(runner.optim_wrapper.optimizer, torch.optim.SGD)
            factor = coefficient_rate(conv.weight[0].numel(), float(square), adaptive)
            group = runner.optim_wrapper.param_groups[index]
            for key in {'lr', 'initial_lr', 'max_lr', 'min_lr'} & set(group):
                group[key] *= factor
            for scheduler in runner.param_schedulers or ():
                # Others change the momentum, or follow a metric and keep none.
                if scheduler.param_name == 'lr' and hasattr(scheduler, 'base_values'):
                    scheduler.base_values[index] *= factor
            runner.logger.info(f'Rate of {name}.weight: {factor:.3g} times the head\'s (RMS of '
                               f'the feature map {float(square) ** 0.5:.3g})')

        handle = conv.register_forward_pre_hook(set_rate)
