# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Heads get the bases of the training set before training, from one computation."""

import contextlib
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import DATASETS, MODELS
from PIL import Image
from torch import Tensor, nn

from mmseg_lrr.datasets.class_bases import compute_class_bases
from mmseg_lrr.datasets.label_maps import LabelMaps
from mmseg_lrr.ops.bases import dct_basis_functions, resize_bases

NUM_PATCHES = 150
EXPERIMENTS = itertools.count()


class Head(nn.Module):
    """What the hook asks of a head."""

    def __init__(self, num_classes: int = 3, num_bases: int = 4) -> None:
        super().__init__()
        self.num_classes, self.num_bases = num_classes, num_bases
        self.register_buffer('bases', torch.zeros(num_classes, num_bases, 32, 32))
        self.register_buffer('bases_loaded', torch.tensor(False))

    def set_bases(self, bases: Tensor) -> None:
        assert bases.shape == self.bases.shape
        self.bases.copy_(bases)
        self.bases_loaded.fill_(True)


class Model(BaseModel):
    def __init__(self, heads: list[nn.Module]) -> None:
        super().__init__()
        self.decode_head = nn.ModuleList(heads)
        self.auxiliary_head = nn.Conv2d(1, 1, 1)

    def forward(self, inputs=None, data_samples=None, mode='tensor') -> dict[str, Tensor]:
        return dict(loss=self.auxiliary_head.weight.sum() ** 2)


def make_data(root: Path, shift: int = 0) -> dict:
    """Two slanted label maps of three classes and, for the loader of the loop, two images."""
    rows, columns = np.mgrid[:64, :70]
    for name, slant in (('x', 0.2), ('y', -0.4)):
        label_map = np.digitize(rows + slant * columns, [22 + shift, 44]).astype(np.uint8)
        for folder, suffix in (('SegmentationClass', 'png'), ('JPEGImages', 'jpg')):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(label_map).save(root / folder / f'{name}.{suffix}')
    return dict(
        type='BaseSegDataset', data_root=str(root),
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        metainfo=dict(classes=('top', 'middle', 'bottom')))


def train(work_dir: Path, dataset: dict, heads: list[nn.Module], hook: dict | None = None,
          max_epochs: int = 1, num_patches: int = NUM_PATCHES, **options) -> None:
    Runner(
        model=Model(heads), work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler'),
            collate_fn=lambda batch: {}, dataset=dataset),
        train_cfg=dict(by_epoch=True, max_epochs=max_epochs, val_begin=9),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)),
        custom_hooks=[dict(type='ClassBasesHook', num_patches=num_patches, **(hook or {}))],
        default_scope='mmseg', experiment_name=f'class_bases_{next(EXPERIMENTS)}', **options
    ).train()


def validated(dataset: dict) -> dict:
    """Settings of a runner that validates too, after the training."""
    return dict(
        val_cfg=dict(), val_evaluator=dict(type='IoUMetric'), val_dataloader=dict(
            num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False), dataset=dataset))


def expected_bases(dataset: dict, num_bases: int = 4, seed: int = 0) -> np.ndarray:
    init_default_scope('mmseg')
    return compute_class_bases(
        LabelMaps(DATASETS.build(dataset)), ['top', 'middle', 'bottom'], num_bases,
        num_patches=NUM_PATCHES, seed=seed)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What runners log."""
    records = []
    callback = MMLogger.callHandlers
    monkeypatch.setattr(
        MMLogger, 'callHandlers',
        lambda self, record: records.append(record.getMessage()) or callback(self, record))
    return records


def test_computes_sets_and_keeps_the_bases(tmp_path: Path, logged: list[str]) -> None:
    work, dataset, head = tmp_path / 'work', make_data(tmp_path / 'data'), Head()
    train(work, dataset, [head])
    expected = expected_bases(dataset)
    np.testing.assert_array_equal(head.bases.numpy(), expected)
    np.testing.assert_array_equal(np.load(work / 'class_bases.npy'), expected)
    assert 'Class bases set in decode_head.0' in logged
    weights = torch.load(work / 'epoch_1.pth', weights_only=False)['state_dict']
    assert weights['decode_head.0.bases_loaded']
    np.testing.assert_array_equal(weights['decode_head.0.bases'].numpy(), expected)

    # The kept file is read again, but only if it is of the same settings.
    train(work, dataset, [Head()])
    assert any('Class bases of an earlier run read from' in line for line in logged)
    expected = expected_bases(dataset, seed=7)
    assert not np.array_equal(expected, expected_bases(dataset))
    for _ in range(2):
        head = Head()
        train(work, dataset, [head], hook=dict(seed=7))
        np.testing.assert_array_equal(head.bases.numpy(), expected)
        # A file that is not the one of the record (a crash between two writes).
        np.save(work / 'class_bases.npy', np.zeros((3, 4, 32, 32), np.float32))


def test_heads_of_other_sizes_share_one_computation(tmp_path: Path) -> None:
    """The real head among them, every level of which is filled."""
    dataset = make_data(tmp_path / 'data')
    real = MODELS.build(dict(type='LRRHead', in_channels=[4, 8], num_classes=3, num_bases=4))
    heads = [Head(3, 4), Head(4, 6), real]
    train(tmp_path / 'work', dataset, heads)
    for head in heads[:2]:
        expected = expected_bases(dataset, head.num_bases)
        np.testing.assert_allclose(head.bases[:3].numpy(), expected, rtol=1e-4, atol=1e-5)
    filled = [buffer for name, buffer in real.named_buffers() if name.endswith('.bases')]
    assert len(filled) == 2 and real.bases_loaded
    for buffer in filled:
        expected = resize_bases(expected_bases(dataset), buffer.shape[-1])
        torch.testing.assert_close(buffer, expected, rtol=1e-4, atol=1e-5)


def test_an_absent_class_keeps_the_cosines_with_a_warning(
        tmp_path: Path, logged: list[str]) -> None:
    head = Head(num_classes=4)
    train(tmp_path / 'work', make_data(tmp_path / 'data'), [head])
    np.testing.assert_array_equal(head.bases[3:].numpy(), dct_basis_functions(1, 4))
    assert any('class 3 ("3") has no pixels in the training label maps' in line for line in logged)


@pytest.mark.parametrize('head, checked, error, message', [
    (2, 2, ValueError, 'has num_classes=2, but train_dataloader has 3 classes; make them equal'),
    (4, 4, None, 'has num_classes=4, but train_dataloader has 3 classes; make them equal'),
    (3, 3, None, 'has num_classes=3, but val_dataloader has 2 classes; make them equal'),
    (3, 5, None, 'has num_classes=3, but CheckLabels has 5 classes; make them equal'),
])
def test_numbers_of_classes_are_compared(
        tmp_path: Path, logged: list[str], head: int, checked: int, error: type | None,
        message: str) -> None:
    dataset = make_data(tmp_path / 'data')
    dataset['pipeline'] = [dict(type='LoadAnnotations'),
                           dict(type='CheckLabels', num_classes=checked)]
    with pytest.raises(error, match=message) if error else contextlib.nullcontext():
        train(tmp_path / 'work', dict(type='RepeatDataset', times=1, dataset=dataset), [Head(head)],
              **validated({**dataset, 'metainfo': dict(classes=('top', 'middle'))}))
    assert error or any(message in line for line in logged)


@pytest.mark.parametrize('options, message', [
    (dict(seg_map_suffix='.tif'), r"2 of 2 files of val_dataloader are missing, first .*x\.tif; "
     r"check its data_root, data_prefix\.seg_map_path and seg_map_suffix='\.tif'"),
    (dict(ann_file='list.txt'), r'1 of 2 files of val_dataloader are missing, first .*lost\.jpg; '
     r'check its data_root, data_prefix\.img_path')])
def test_missing_validation_files_are_found_before_training(
        tmp_path: Path, options: dict, message: str) -> None:
    dataset = make_data(tmp_path / 'data')
    (tmp_path / 'data' / 'list.txt').write_text('x\nlost\n')
    with pytest.raises(FileNotFoundError, match=message):
        train(tmp_path / 'work', dataset, [Head()], **validated({**dataset, **options}))


def test_the_last_label_map_is_looked_at_before_training(tmp_path: Path) -> None:
    """Though the first has patches enough."""
    dataset = make_data(tmp_path / 'data')
    path = tmp_path / 'data' / 'SegmentationClass' / 'y.png'
    Image.fromarray(np.array(Image.open(path)) + np.uint8(1)).save(path)
    with pytest.raises(ValueError, match=r'y\.png holds \[3\], which are not classes; expected 0'):
        train(tmp_path / 'work', dataset, [Head()], num_patches=1)


def test_bases_of_the_checkpoint_stay(tmp_path: Path, logged: list[str]) -> None:
    train(tmp_path / 'first', make_data(tmp_path / 'data'), [Head()])
    path = str(tmp_path / 'first' / 'epoch_1.pth')
    checkpoint = torch.load(path, weights_only=False)
    checkpoint['state_dict']['decode_head.0.bases'].fill_(3.0)
    torch.save(checkpoint, path)
    head = Head()
    train(tmp_path / 'second', make_data(tmp_path / 'other', shift=5), [head], max_epochs=2,
          load_from=path, resume=True)
    assert (head.bases == 3.0).all()
    assert not (tmp_path / 'second' / 'class_bases.npy').exists()
    assert any('Class bases came with the checkpoint' in line for line in logged)


def test_takes_a_file_instead(tmp_path: Path) -> None:
    path = tmp_path / 'given.npy'
    given = np.random.default_rng(0).standard_normal((3, 10, 32, 32)).astype(np.float32)
    np.save(path, given)
    head = Head()
    train(tmp_path / 'work', make_data(tmp_path / 'data'), [head], dict(bases_file=str(path)))
    np.testing.assert_array_equal(head.bases.numpy(), given[:, :4])


def test_a_model_without_such_heads_trains_with_a_warning(
        tmp_path: Path, logged: list[str]) -> None:
    train(tmp_path / 'work', make_data(tmp_path / 'data'), [nn.Identity()])
    assert any('the model has no head with class bases' in line for line in logged)
