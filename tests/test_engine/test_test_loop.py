# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The test loop: the plain loop's numbers, overlapped, and going on after failures."""

import json
import os
import sys
import tarfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.hooks import Hook
from mmseg.registry import TRANSFORMS
from torch import Tensor, nn

from ..small_segmentors import build, lrr_config, make_images, stock_config, tta_pipeline
from .small_test import CRF, Recorder, log_text, make_runner

NUM_IMAGES = 5
NAMES = [f'{index}.png' for index in range(NUM_IMAGES)]
#: The image that fails, where one does.
BAD = 2
COLLECT = dict(collect_failures=True)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return make_images(tmp_path / 'data')


def run(model: nn.Module, images: Path, work_dir: Path, **options) -> tuple[dict, Recorder]:
    runner, recorder = make_runner(model, images, work_dir, **options)
    return runner.test(), recorder


def segmentor(**test_cfg) -> nn.Module:
    return build(lrr_config(test_cfg=test_cfg))


def failures(work_dir: Path) -> list[dict]:
    return json.loads((work_dir / 'failures.json').read_text())


@pytest.mark.parametrize('names, written', [
    (('x/0', 'y/1'), ['0.png', '1.png']), (('x/0', 'y/0', '1'), ['1.png', 'x/0.png', 'y/0.png'])])
def test_equal_names_keep_their_subfolders(
        tmp_path: Path, names: tuple, written: list[str]) -> None:
    flat = make_images(tmp_path / 'flat', 1)
    for kind in ('images', 'labels'):
        for name in names:
            file = tmp_path / 'data' / kind / f'{name}.png'
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes((flat / kind / '0.png').read_bytes())
    out = tmp_path / 'out'
    run(segmentor(), tmp_path / 'data', tmp_path / 'work',
        evaluator=dict(type='LRRIoUMetric', output_dir=str(out)))
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob('*.png')) == written


@pytest.mark.parametrize('tta, fp16', [(False, False), (True, True)])
def test_overlap_changes_no_bit(images: Path, tmp_path: Path, tta: bool, fp16: bool) -> None:
    if tta:
        model = build(dict(type='LRRTTAModel', module=lrr_config(), crf=CRF))
        pipeline = tta_pipeline(file=True)
    else:
        model, pipeline = segmentor(crf=CRF, level_outputs=True), None
    loops = [dict(type='TestLoop'), dict(max_pending=0), dict()]
    results = [
        run(model, images, tmp_path / str(number), pipeline=pipeline, loop=dict(loop, fp16=fp16))
        for number, loop in enumerate(loops)]
    metrics, plain = results[0]
    assert metrics['mIoU'] > 0
    for other, recorder in results[1:]:
        assert other == metrics
        assert recorder.after == plain.after == [(i, [name]) for i, name in enumerate(NAMES)]
        for name in NAMES:
            assert torch.equal(recorder.scores[name], plain.scores[name])
    # Left as it was: single calls and inferencers run the CRF themselves.
    assert model.crf_deferred is False


def test_larger_batches_are_tested_the_same(images: Path, tmp_path: Path) -> None:
    for path in images.glob('*/*.png'):
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:40, :40])
    # mmseg's own segmentor.
    model = build(stock_config())
    one, _ = run(model, images, tmp_path / 'one', loop=dict(type='TestLoop'))
    two, recorder = run(model, images, tmp_path / 'two', batch_size=2)
    assert two == one
    assert recorder.after == [(0, NAMES[:2]), (1, NAMES[2:4]), (2, NAMES[4:])]


class _Gate(nn.Module):
    """In the place of the CRF; holds the first image until it may go."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.done = 0
        self.threads: set[str] = set()

    def forward(self, image: np.ndarray, probabilities: Tensor) -> Tensor:
        self.threads.add(threading.current_thread().name)
        assert not torch.is_grad_enabled()
        assert self.open.wait(timeout=60)
        self.done += 1
        return probabilities


@pytest.mark.parametrize('most', [1, 3])
def test_network_runs_ahead_by_max_pending_images_and_no_more(
        images: Path, tmp_path: Path, most: int) -> None:
    model = segmentor(crf=CRF)
    model.crf = gate = _Gate()
    network = model.extract_feat
    pending = []

    def extract_feat(inputs: Tensor) -> list[Tensor]:
        pending.append(len(pending) - gate.done)
        if len(pending) == most + 1:
            # Only now may the first image's CRF end; had the network not run ahead, it never would.
            gate.open.set()
        return network(inputs)

    model.extract_feat = extract_feat
    _, recorder = run(model, images, tmp_path / 'work', loop=dict(max_pending=most))
    assert pending[:most + 1] == list(range(most + 1))
    assert max(pending) == most
    assert gate.done == NUM_IMAGES
    main = threading.main_thread().name
    assert len(gate.threads) == 1 and gate.threads.isdisjoint({main})
    assert recorder.threads == {main}
    assert recorder.before == [number for number, _ in recorder.after] == list(range(NUM_IMAGES))


class _BlackImageError(Exception):
    """What a failing part raises."""


class _FailingNetwork(nn.Module):
    """Raises where an image is black (below all means), else is the module that it stands for."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor) -> list[Tensor]:
        if (inputs < -1.7).all():
            raise _BlackImageError('the network saw black')
        return self.module(inputs)


class _FailingCRF(nn.Module):
    """Raises where an image is black, some time later, else leaves the probabilities."""

    def forward(self, image: np.ndarray, probabilities: Tensor) -> Tensor:
        if not image.any():
            time.sleep(.1)
            raise _BlackImageError('the CRF saw black')
        return probabilities


def blacken(images: Path, *numbers: int) -> None:
    """Make images black, of a size that is its own canvas: no padding around it."""
    for number in numbers:
        cv2.imwrite(str(images / 'images' / f'{number}.png'), np.zeros((32, 64, 3), np.uint8))
        cv2.imwrite(str(images / 'labels' / f'{number}.png'), np.zeros((32, 64), np.uint8))


def spoil(images: Path, stage: str) -> tuple[nn.Module, type[Exception], str]:
    """Make one image fail; give the model, the error and a part of its text."""
    model = segmentor(crf=CRF)
    model.crf = None
    labels = images / 'labels' / f'{BAD}.png'
    if stage == 'loading':
        labels.unlink()
        return model, FileNotFoundError, f'{BAD}.png'
    if stage == 'metric':
        cv2.imwrite(str(labels), np.full((58, 58), 77, np.uint8))
        return model, ValueError, 'holds the class 77'
    blacken(images, BAD)
    if stage == 'network':
        model.backbone = _FailingNetwork(model.backbone)
        return model, _BlackImageError, 'the network saw black'
    model.crf = _FailingCRF()
    return model, _BlackImageError, 'the CRF saw black'


@pytest.mark.parametrize('stage', ['loading', 'network', 'crf', 'metric'])
def test_failure_ends_the_test_or_is_noted(images: Path, tmp_path: Path, stage: str) -> None:
    model, error, text = spoil(images, stage)
    runner, recorder = make_runner(model, images, tmp_path / 'ended')
    with pytest.raises(error, match=text) as raised:
        runner.test()
    where = f'while testing {images}/images/{BAD}.png ({stage})'
    assert f'stopped {where}' in log_text(tmp_path / 'ended')
    if sys.version_info >= (3, 11):
        assert raised.value.__notes__ == [where]
    # The images before it are done with, whichever thread failed; none after it is.
    assert [number for number, _ in recorder.after] == list(range(BAD))
    assert not (tmp_path / 'ended' / 'failures.json').exists()
    assert model.crf_deferred is False
    assert not [thread for thread in threading.enumerate() if 'evaluation' in thread.name]

    # Collected, failures leave the test to go on.
    submission = dict(type='VOCSubmission', output_dir=str(tmp_path / 'out'), archive='tar')
    metrics, recorder = run(model, images, tmp_path / 'work', loop=COLLECT,
                            evaluator=[submission, dict(type='LRRIoUMetric')])
    assert metrics.pop('failed_images') == 1
    others = [name for name in NAMES if name != f'{BAD}.png']
    assert [name for _, names in recorder.after for name in names] == others
    (record, ) = failures(tmp_path / 'work')
    assert record['path'] == str(images / 'images' / f'{BAD}.png')
    assert record['stage'] == stage
    assert record['error'].startswith(f'{error.__name__}: ') and text in record['error']
    log = log_text(tmp_path / 'work')
    assert f'failed {where}:' in log and 'Traceback (most recent call last)' in log
    assert '1 images failed and are not counted in any metric' in log
    # Neither in the one that failed nor in the ones before it.
    with tarfile.open(tmp_path / 'out/VOC2012_comp6_test_cls.tar') as archive:
        assert [Path(name).name for name in archive.getnames()] == others
    for name in ('images', 'labels'):
        (images / name / f'{BAD}.png').unlink(missing_ok=True)
    expected, _ = run(model, images, tmp_path / 'others', loop=dict(type='TestLoop'))
    assert metrics == expected


def test_failures_are_listed_in_the_order_of_the_images(images: Path, tmp_path: Path) -> None:
    """A file that cannot be loaded is known before the CRF of the image before it has failed."""
    model = segmentor(crf=CRF)
    model.crf = _FailingCRF()
    blacken(images, 0, 2, 4)
    for index in (1, 3):
        (images / 'images' / f'{index}.png').write_bytes(b'no picture')
    runner, _ = make_runner(model, images, tmp_path, loop=COLLECT)
    with pytest.raises(ValueError, match='no image was evaluated'):
        runner.test()
    assert [(Path(record['path']).name, record['stage']) for record in failures(tmp_path)] == [
        ('0.png', 'crf'), ('1.png', 'loading'), ('2.png', 'crf'), ('3.png', 'loading'),
        ('4.png', 'crf')]
    assert '5 images failed' in log_text(tmp_path)


def test_file_is_named_when_another_process_loads_it(images: Path, tmp_path: Path) -> None:
    for name in (f'{BAD}.png', '4.png'):
        (images / 'images' / name).write_bytes(b'no picture')
    metrics, recorder = run(segmentor(), images, tmp_path, num_workers=2, loop=COLLECT)
    assert metrics['failed_images'] == 2
    assert [Path(record['path']).name for record in failures(tmp_path)] == [f'{BAD}.png', '4.png']
    assert [names for _, names in recorder.after] == [['0.png'], ['1.png'], ['3.png']]


@TRANSFORMS.register_module()
class _Crash(BaseTransform):
    """Ends the loading process, as the system does when memory runs out."""

    def transform(self, results: dict) -> dict:
        os._exit(1)


class _Ending(Hook):
    """Ends the test after an image, by other means than the image's failure."""

    def after_test_iter(self, runner, batch_idx, **kwargs) -> None:
        if batch_idx == 3:
            raise KeyboardInterrupt


def test_two_processes_report_what_one_does(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the five images the first is given twice, to make even shares; it and another fail."""
    make_images(tmp_path / 'data' / 'all')
    some = make_images(tmp_path / 'data' / 'some')
    for index in ('0', '3'):
        (some / 'labels' / f'{index}.png').unlink()
    alone, together = tmp_path / 'alone', tmp_path / 'together'
    together.mkdir()
    monkeypatch.syspath_prepend(Path(__file__).parent)  # where the processes find the module
    from small_test import one_of_two, run_both
    processes = torch.multiprocessing.spawn(
        one_of_two, (together, tmp_path / 'data'), nprocs=2, join=False)
    run_both(alone, tmp_path / 'data')
    expected = json.loads((alone / 'rank0.json').read_text())
    assert expected[1]['failed_images'] == 2
    assert {'mIoU_32x', 'trimap_mIoU@4_8x', 'apart/trimap_mIoU@2'} <= set(expected[0])
    while not processes.join():
        pass
    for rank in (0, 1):
        assert json.loads((together / f'rank{rank}.json').read_text()) == expected
    assert sorted(Path(record['path']).stem for record in failures(together / 'second')) == [
        '0', '3']
    assert (together / 'bands.csv').read_text() == (alone / 'bands.csv').read_text()
    name = 'out/VOC2012_comp6_test_cls.tar'
    with tarfile.open(alone / name) as one, tarfile.open(together / name) as two:
        assert two.getnames() == one.getnames() and len(one.getnames()) == NUM_IMAGES
        for member in one.getnames():
            assert two.extractfile(member).read() == one.extractfile(member).read()


def test_what_would_go_wrong_in_silence_is_refused(images: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'needs test_dataloader.batch_size=1.*got 2'):
        run(segmentor(), images, tmp_path, loop=COLLECT, batch_size=2)
    model = build({**stock_config(), 'test_cfg': dict(mode='whole', crf=CRF)})
    with pytest.raises(ValueError, match="EncoderDecoder runs no CRF.*'LRREncoderDecoder'"):
        run(model, images, tmp_path)
