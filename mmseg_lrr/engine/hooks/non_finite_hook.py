# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A training whose loss is not finite ends."""

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Stop a training whose loss is NaN or infinite.

    Where float16 overflows, the gradient scaler of ``AmpOptimWrapper`` leaves out the step. So with
    a scaler the first look only warns, and the training ends if the next one finds the same.

    Args:
        interval: Iterations between two looks; each waits for the GPU.

    Raises:
        FloatingPointError: A loss is not finite. The message names the losses and the images.
    """

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval
        self._warned = False

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Look at the sum of the losses, before a checkpoint is saved."""
        if not (self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner)):
            return
        if torch.isfinite(outputs['loss']):
            self._warned = False
            return
        losses = ', '.join(f'{name} is {value.item()}' for name, value in outputs.items()
                           if 'loss' in name and not torch.isfinite(value))
        images = ', '.join(str(sample.get('img_path')) for sample in data_batch['data_samples'])
        text = (f'iteration {runner.iter + 1}: {losses} (images {images}), possibly since up '
                f'to {self.interval} iterations earlier')
        if hasattr(runner.optim_wrapper, 'loss_scaler') and not self._warned:
            self._warned = True
            runner.logger.warning(f'{text}; the gradient scaler leaves out the step')
            return
        raise FloatingPointError(
            f'{text}. A lower learning rate or a longer warm-up prevents most such '
            'losses; NonFiniteHook(interval=1) finds the exact iteration')
