# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Momentum that starts anew in every epoch, as in the authors' training."""

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS


@HOOKS.register_module()
class ResetMomentumHook(Hook):
    """Set SGD's momentum to zero before every epoch.

    The authors' framework keeps no momentum from one epoch to the next. Optimisers without a
    momentum buffer are left alone.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        """Zero the momentum of all parameters.

        Args:
            runner: The runner, about to train an epoch.
        """
        for state in runner.optim_wrapper.optimizer.state.values():
            if state.get('momentum_buffer') is not None:
                state['momentum_buffer'].zero_()
