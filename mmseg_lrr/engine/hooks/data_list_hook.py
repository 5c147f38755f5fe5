# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Lists of images that stay inside their data set's folders."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_lrr.datasets.listed_files import check_lists_within


@HOOKS.register_module()
class DataListHook(Hook):
    """Refuse a data set whose list leads out of its folders, before it is used.

    A list of names is often somebody else's file, and the toolbox joins what it says to the folder
    of ``data_prefix``, ``../`` and all. This package's data sets look at their lists themselves;
    the hook does so for the toolbox's, once each, in training, validation and testing.
    """

    # Before the class bases are computed from the data set.
    priority = 'HIGHEST'

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def before_train(self, runner: Runner) -> None:
        """Look at the training set."""
        self._look(runner.train_dataloader.dataset)

    def before_val(self, runner: Runner) -> None:
        """Look at the validation set."""
        self._look(runner.val_dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        """Look at the test set."""
        self._look(runner.test_dataloader.dataset)

    def _look(self, dataset: Any) -> None:
        """Check a data set and those that it wraps, once.

        Raises:
            ValueError: naming the list and the path.
        """
        if id(dataset) in self._seen:
            return
        check_lists_within(dataset)
        self._seen.add(id(dataset))
