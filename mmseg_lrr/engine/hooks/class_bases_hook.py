# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Basis functions computed from the training set before training."""

import datetime
import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import torch
from mmengine import dist
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import nn

from mmseg_lrr.datasets.class_bases import (
    class_bases_fingerprint,
    compute_class_bases,
    dataset_class_names,
    load_class_bases,
    save_class_bases,
)
from mmseg_lrr.datasets.label_maps import LabelMaps, check_files, class_numbers
from mmseg_lrr.files import replacing
from mmseg_lrr.ops.bases import REFERENCE_NUM_PATCHES

# Rank 0 may read a large training set for longer than the default group's timeout.
_TIMEOUT = datetime.timedelta(days=1)
_TRAINING = 'train_dataloader'


@HOOKS.register_module()
class ClassBasesHook(Hook):
    """Give LRR heads the basis functions of their training set.

    Acts in ``before_train``, which comes after a checkpoint is loaded or resumed. Images or label
    maps that are missing, of the validation too, and numbers of classes that differ are reported
    then. Heads whose
    ``bases_loaded`` the checkpoint has set are left alone. For the others, wherever in the model
    they are (decode heads, auxiliary heads, inside wrappers), the bases are computed on rank 0
    from the training label maps, sent to the other ranks and set. They are kept in the work
    directory as ``class_bases.npy`` with what they were computed from in ``class_bases.json``,
    and read from there by the next run of the same settings. The checkpoint carries them from
    then on, so testing needs neither.

    Args:
        bases_file: A ``.npy`` file as ``tools/compute_bases.py`` writes it, ``(num_classes, K,
            32, 32)``; it is used instead of computing.
        num_patches: Number of patches per class.
        seed: Seed of the patches' places.
    """

    def __init__(
        self,
        *,
        bases_file: str | None = None,
        num_patches: int = REFERENCE_NUM_PATCHES,
        seed: int = 0,
    ) -> None:
        self.bases_file = bases_file
        self.num_patches = num_patches
        self.seed = seed

    def before_train(self, runner: Runner) -> None:
        """Set the bases of every head that has none yet.

        Args:
            runner: The runner, about to train.
        """
        heads = {name: module for name, module in runner.model.named_modules()
                 if hasattr(module, 'set_bases') and hasattr(module, 'bases_loaded')}
        if not heads:
            runner.logger.warning('ClassBasesHook: the model has no head with class bases')
            return
        for source, loop in ((_TRAINING, runner.train_loop), ('val_dataloader', runner.val_loop)):
            if loop is not None:
                self._check(runner, heads, loop.dataloader.dataset, source)
        waiting = {name: head for name, head in heads.items() if not head.bases_loaded}
        if not waiting:
            runner.logger.info('Class bases came with the checkpoint; none are computed')
            return
        # A class's bases do not depend on the other classes, nor a basis on those after it, so
        # one set serves heads that differ in size.
        num_classes = max(head.num_classes for head in waiting.values())
        num_bases = max(head.num_bases for head in waiting.values())
        group = None
        if dist.get_world_size() > 1:
            group = torch.distributed.new_group(backend='gloo', timeout=_TIMEOUT)
        parcel: list[np.ndarray | None] = [None]
        if dist.is_main_process():
            parcel[0] = self._get(runner, num_classes, num_bases)
        dist.broadcast_object_list(parcel, src=0, group=group)
        for name, head in waiting.items():
            bases = parcel[0][:head.num_classes, :head.num_bases]
            head.set_bases(torch.from_numpy(bases.copy()))
            runner.logger.info(f'Class bases set in {name}')

    @staticmethod
    def _check(runner: Runner, heads: dict[str, nn.Module], dataset: BaseDataset, name: str
               ) -> None:
        """Look now at what would end the training later: missing files, other classes."""
        check_files(dataset, name)
        for (head_name, head), (source, number) in itertools.product(
                heads.items(), class_numbers(dataset, name).items()):
            if number != head.num_classes:
                text = (f'{head_name} has num_classes={head.num_classes}, but {source} has '
                        f'{number} classes; make them equal in the config')
                if source == _TRAINING and head.num_classes < number:
                    raise ValueError(text)
                runner.logger.warning(text)

    def _get(self, runner: Runner, num_classes: int, num_bases: int) -> np.ndarray:
        """Read the bases from a file, or compute and keep them."""
        if self.bases_file is not None:
            runner.logger.info(f'Class bases read from {self.bases_file}')
            return load_class_bases(self.bases_file, num_classes, num_bases)
        dataset = runner.train_dataloader.dataset
        label_maps = LabelMaps(dataset)
        class_names = dataset_class_names(dataset, num_classes)
        options = dict(num_patches=self.num_patches, seed=self.seed)
        made_from = class_bases_fingerprint(label_maps, class_names, num_bases, **options)
        kept = Path(runner.work_dir) / 'class_bases.npy'
        record = kept.with_suffix('.json')
        if kept.is_file() and record.is_file():
            # The file's own digest tells a pair that a crash between two writes has mismatched.
            digest = hashlib.sha256(kept.read_bytes()).hexdigest()
            if record.read_text() == _record(made_from, digest):
                runner.logger.info(f'Class bases of an earlier run read from {kept}')
                return load_class_bases(kept, num_classes, num_bases)
            runner.logger.info(f'{kept} is of other settings; the class bases are computed anew')
        runner.logger.info(f'Computing class bases from {len(label_maps)} training label maps; '
                           'until then the heads hold DCT functions')
        bases = compute_class_bases(label_maps, class_names, num_bases, **options)
        digest = save_class_bases(kept, bases)
        with replacing(record) as temporary:
            temporary.write_text(_record(made_from, digest))
        runner.logger.info(f'Class bases written to {kept}')
        return bases


def _record(made_from: str, digest: str) -> str:
    """Return what is kept beside the bases."""
    return json.dumps({'made_from': made_from, 'sha256': digest})
