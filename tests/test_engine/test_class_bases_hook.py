# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
import itertools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import DATASETS, MODELS
from PIL import Image
from torch import nn

from mmseg_lrr.datasets.class_bases import compute_class_bases
from mmseg_lrr.datasets.label_maps import LabelMaps
from mmseg_lrr.engine.hooks import ClassBasesHook
from mmseg_lrr.ops.bases import dct_basis_functions, resize_bases

NUM_PATCHES = 150
EXPERIMENTS = itertools.count()


class Head(nn.Module):
    """What the hook asks of a head."""

    def __init__(self, num_classes=3, num_bases=4):
        super().__init__()
        self.num_classes, self.num_bases = num_classes, num_bases
        self.register_buffer('bases', torch.zeros(num_classes, num_bases, 32, 32))
        self.register_buffer('bases_loaded', torch.tensor(False))

    def set_bases(self, bases):
        assert bases.shape == self.bases.shape
        self.bases.copy_(torch.as_tensor(bases))
        self.bases_loaded.fill_(True)


class Model(BaseModel):
    def __init__(self, heads):
        super().__init__()
        self.decode_head = nn.ModuleList(heads)
        self.auxiliary_head = nn.Conv2d(1, 1, 1)

    def forward(self, inputs=None, data_samples=None, mode='tensor'):
        return dict(loss=self.auxiliary_head.weight.sum() ** 2)


def make_data(root, shift=0):
    """Two slanted label maps of three classes and, for the loader of the loop, two images."""
    rows, columns = np.mgrid[:64, :70]
    for name, slant in (('x', 0.2), ('y', -0.4)):
        label_map = np.digitize(rows + slant * columns, [22 + shift, 44]).astype(np.uint8)
        for folder, suffix in (('SegmentationClass', 'png'), ('JPEGImages', 'jpg')):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(label_map).save(root / folder / f'{name}.{suffix}')
    (root / 'train.txt').write_text('x\ny\n')
    return dict(
        type='BaseSegDataset',
        data_root=str(root),
        ann_file='train.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        metainfo=dict(classes=('top', 'middle', 'bottom')),
    )


def make_runner(work_dir, dataset, heads, hook=None, max_epochs=1, wrapper=None, **kwargs):
    hook = dict(type='ClassBasesHook', num_patches=NUM_PATCHES, **(hook or {}))
    return Runner(
        model=wrapper(Model(heads)) if wrapper else Model(heads),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=1,
            num_workers=0,
            sampler=dict(type='DefaultSampler'),
            collate_fn=lambda batch: {},
            dataset=dataset,
        ),
        train_cfg=dict(by_epoch=True, max_epochs=max_epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)),
        custom_hooks=[hook],
        default_scope='mmseg',
        experiment_name=f'class_bases_{next(EXPERIMENTS)}',
        **kwargs,
    )


def expected_bases(dataset, num_bases=4, seed=0):
    init_default_scope('mmseg')
    return compute_class_bases(
        LabelMaps(DATASETS.build(dataset)),
        ['top', 'middle', 'bottom'],
        num_bases,
        num_patches=NUM_PATCHES,
        seed=seed,
    )


@pytest.fixture
def logged(monkeypatch):
    """Text of all that runners log."""
    from mmengine.logging import MMLogger

    records = []
    callback = MMLogger.callHandlers
    monkeypatch.setattr(
        MMLogger,
        'callHandlers',
        lambda self, record: records.append(record.getMessage()) or callback(self, record),
    )
    return lambda: '\n'.join(records)


def test_computes_sets_and_keeps_the_bases(tmp_path, logged):
    dataset = make_data(tmp_path / 'data')
    head = Head()
    make_runner(tmp_path / 'work', dataset, [head]).train()
    expected = expected_bases(dataset)
    assert head.bases_loaded
    np.testing.assert_array_equal(head.bases.numpy(), expected)
    np.testing.assert_array_equal(np.load(tmp_path / 'work' / 'class_bases.npy'), expected)
    assert 'Computing class bases from 2 training label maps' in logged()
    assert 'Class bases set in decode_head.0' in logged()
    weights = torch.load(tmp_path / 'work' / 'epoch_1.pth', weights_only=False)['state_dict']
    assert weights['decode_head.0.bases_loaded']
    np.testing.assert_array_equal(weights['decode_head.0.bases'].numpy(), expected)


def test_fills_every_level_of_the_real_head(tmp_path):
    dataset = make_data(tmp_path / 'data')
    head = MODELS.build(dict(type='LRRHead', in_channels=[4, 8], num_classes=3, num_bases=4))
    assert not head.bases_loaded
    make_runner(tmp_path / 'work', dataset, [head]).train()
    assert head.bases_loaded
    filled = [buffer for name, buffer in head.named_buffers() if name.endswith('.bases')]
    assert len(filled) == 2
    for buffer in filled:
        torch.testing.assert_close(buffer, resize_bases(expected_bases(dataset), buffer.shape[-1]))


def test_heads_of_other_sizes_share_one_computation(tmp_path):
    dataset = make_data(tmp_path / 'data')
    heads = [Head(3, 4), Head(2, 6)]
    make_runner(tmp_path / 'work', dataset, heads).train()
    for head in heads:
        expected = expected_bases(dataset, head.num_bases)[: head.num_classes]
        np.testing.assert_allclose(head.bases.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_an_absent_class_keeps_the_dct_functions_with_a_warning(tmp_path, logged):
    head = Head(num_classes=4)
    make_runner(tmp_path / 'work', make_data(tmp_path / 'data'), [head]).train()
    np.testing.assert_array_equal(head.bases[3:].numpy(), dct_basis_functions(1, 4))
    assert 'class 3 ("3") has no pixels in the training label maps' in logged()


@pytest.mark.parametrize('resume', [False, True])
def test_bases_of_the_checkpoint_stay(tmp_path, logged, resume):
    make_runner(tmp_path / 'first', make_data(tmp_path / 'data'), [Head()]).train()
    path = str(tmp_path / 'first' / 'epoch_1.pth')
    checkpoint = torch.load(path, weights_only=False)
    checkpoint['state_dict']['decode_head.0.bases'].fill_(3.0)
    torch.save(checkpoint, path)
    head = Head()
    other = make_data(tmp_path / 'other', shift=5)
    arguments = dict(max_epochs=2, load_from=path, resume=resume)
    make_runner(tmp_path / 'second', other, [head], **arguments).train()
    assert (head.bases == 3.0).all()
    assert not (tmp_path / 'second' / 'class_bases.npy').exists()
    assert 'Class bases came with the checkpoint' in logged()


def test_reads_the_kept_file_only_if_it_is_of_the_same_settings(tmp_path, logged):
    work, dataset = tmp_path / 'work', make_data(tmp_path / 'data')
    make_runner(work, dataset, [Head()]).train()
    kept = work / 'class_bases.npy'
    first = kept.read_bytes()
    changed = kept.stat().st_mtime_ns

    make_runner(work, dataset, [Head()]).train()
    assert kept.stat().st_mtime_ns == changed
    assert 'Class bases of an earlier run read from' in logged()

    head = Head()
    make_runner(work, dataset, [head], hook=dict(seed=7)).train()
    assert kept.read_bytes() != first
    np.testing.assert_array_equal(head.bases.numpy(), expected_bases(dataset, seed=7))

    # A file that is not the one of the record (a crash between two writes) is not used either.
    np.save(kept, np.zeros((3, 4, 32, 32), np.float32))
    head = Head()
    make_runner(work, dataset, [head], hook=dict(seed=7)).train()
    np.testing.assert_array_equal(head.bases.numpy(), expected_bases(dataset, seed=7))
    record = work / 'class_bases.json'
    assert set(json.loads(record.read_text())) == {'made_from', 'sha256'}

    # Nor is one whose record is damaged.
    whole = record.read_bytes()
    for damaged in (whole[:-5], b'', b'\xff', b'[' * 100_000):
        record.write_bytes(damaged)
        head = Head()
        make_runner(work, dataset, [head], hook=dict(seed=7)).train()
        np.testing.assert_array_equal(head.bases.numpy(), expected_bases(dataset, seed=7))
        assert record.read_bytes() == whole


def test_takes_a_file_instead(tmp_path):
    path = tmp_path / 'given.npy'
    given = np.random.default_rng(0).standard_normal((3, 10, 32, 32)).astype(np.float32)
    np.save(path, given)
    head, dataset = Head(), make_data(tmp_path / 'data')
    make_runner(tmp_path / 'work', dataset, [head], hook=dict(bases_file=str(path))).train()
    np.testing.assert_array_equal(head.bases.numpy(), given[:, :4])

    np.save(path, given[:2])
    runner = make_runner(tmp_path / 'work', dataset, [Head()], hook=dict(bases_file=str(path)))
    with pytest.raises(ValueError, match=r'given.npy have shape \(2, 10, 32, 32\), expected \(3,'):
        runner.train()


def test_a_model_without_such_heads_trains_with_a_warning(tmp_path, logged):
    make_runner(tmp_path / 'work', make_data(tmp_path / 'data'), [nn.Identity()]).train()
    assert 'the model has no head with class bases' in logged()


def test_refuses_bad_arguments(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'bases_file .*nowhere\.npy'):
        ClassBasesHook(bases_file=str(tmp_path / 'nowhere.npy'))
    with pytest.raises(ValueError, match='num_patches .* got 0'):
        ClassBasesHook(num_patches=0)
    with pytest.raises(ValueError, match='seed .* got -1'):
        ClassBasesHook(seed=-1)


def train_on_rank(rank, port, root, labels_there):
    """Be one of two processes that train together; leave the outcome in files."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2')
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dataset = make_data(root / f'data_{rank}')
    if not labels_there:
        (root / f'data_{rank}' / 'SegmentationClass' / 'x.png').unlink()
    head = Head()
    # The toolbox's own launcher asks for a GPU.
    torch.distributed.init_process_group('gloo')
    runner = make_runner(root / 'work', dataset, [head], wrapper=MMDistributedDataParallel)
    outcome = 'trained'
    try:
        runner.train()
    except (FileNotFoundError, RuntimeError) as error:
        outcome = f'{type(error).__name__}: {error}'
    (root / f'outcome_{rank}.txt').write_text(outcome)
    np.save(root / f'head_{rank}.npy', head.bases.numpy())
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize('labels_there', [True, False])
def test_two_processes(tmp_path, repo_root, labels_there):
    """Rank 0 computes and sends; if it cannot, both ranks fail and say why."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    command = [sys.executable, __file__, str(port), str(tmp_path), str(int(labels_there))]
    environment = {**os.environ, 'PYTHONPATH': str(repo_root)}
    processes = [
        subprocess.Popen([*command, str(rank)], env=environment, cwd=tmp_path) for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    outcomes = [(tmp_path / f'outcome_{rank}.txt').read_text() for rank in range(2)]
    heads = [np.load(tmp_path / f'head_{rank}.npy') for rank in range(2)]
    if labels_there:
        assert outcomes == ['trained', 'trained']
        np.testing.assert_array_equal(heads[0], heads[1])
        assert heads[0].any(axis=(2, 3)).all()
        assert (tmp_path / 'work' / 'class_bases.npy').is_file()
    else:
        assert outcomes[0].startswith('FileNotFoundError: ') and '.png' in outcomes[0]
        assert outcomes[1].startswith('RuntimeError: rank 0 could not get the class bases')


if __name__ == '__main__':
    train_on_rank(int(sys.argv[4]), sys.argv[1], Path(sys.argv[2]), sys.argv[3] == '1')
