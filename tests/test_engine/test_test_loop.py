# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The test loop: the plain loop's numbers, overlapped, and going on after failures."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmseg.registry import METRICS, TRANSFORMS
from torch import Tensor, nn

from ..small_segmentors import build, lrr_config, stock_config, tta_pipeline
from .small_test import CRF, NUM_IMAGES, Recorder, log_text, make_images, make_runner

NAMES = [f'{index}.png' for index in range(NUM_IMAGES)]
#: The image that fails, where one does.
BAD = 2


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return make_images(tmp_path / 'data')


def run(model: nn.Module, images: Path, work_dir: Path, **options) -> tuple[dict, Recorder]:
    runner, recorder = make_runner(model, images, work_dir, **options)
    return runner.test(), recorder


def segmentor(**test_cfg) -> nn.Module:
    return build(lrr_config(test_cfg=test_cfg))


# ---------------------------------------------------------------------- the same numbers


@pytest.mark.parametrize('tta', [False, True])
@pytest.mark.parametrize('fp16', [False, True])
def test_overlap_changes_no_bit(images: Path, tmp_path: Path, tta: bool, fp16: bool) -> None:
    if tta:
        model = build(dict(type='LRRTTAModel', module=lrr_config(), crf=CRF))
        pipeline = tta_pipeline(file=True)
    else:
        model, pipeline = segmentor(crf=CRF, level_outputs=True), None
    loops = [dict(type='TestLoop'), *(dict(max_pending=most) for most in (0, 1, 2))]
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


def test_toolbox_segmentor_is_tested_the_same(images: Path, tmp_path: Path) -> None:
    model = build(stock_config())
    plain, _ = run(model, images, tmp_path / 'a', loop=dict(type='TestLoop'))
    ours, _ = run(model, images, tmp_path / 'b')
    assert ours == plain


def test_larger_batches_are_tested_the_same(tmp_path: Path) -> None:
    images = tmp_path / 'data'
    make_images(images)
    for index in range(NUM_IMAGES):
        for name in ('images', 'labels'):
            path = str(images / name / f'{index}.png')
            cv2.imwrite(path, cv2.imread(path, cv2.IMREAD_UNCHANGED)[:40, :40])
    model = segmentor(crf=CRF)
    one, _ = run(model, images, tmp_path / 'a')
    two, recorder = run(model, images, tmp_path / 'b', batch_size=2)
    assert two == one
    assert recorder.after == [(0, NAMES[:2]), (1, NAMES[2:4]), (2, NAMES[4:])]


# ---------------------------------------------------------------------- overlap


class _Gate(nn.Module):
    """In the place of the CRF; holds the first image until it may go."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.begun = self.done = 0
        self.threads: set[str] = set()

    def forward(self, image: np.ndarray, probabilities: Tensor) -> Tensor:
        self.begun += 1
        self.threads.add(threading.current_thread().name)
        assert not torch.is_grad_enabled()
        assert self.open.wait(timeout=60)
        self.done += 1
        return probabilities


@pytest.mark.parametrize('most', [1, 2, 3])
def test_network_runs_ahead_by_max_pending_images_and_no_more(
    images: Path, tmp_path: Path, most: int
) -> None:
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
    (thread, ) = gate.threads
    assert thread != threading.main_thread().name
    assert recorder.threads == {threading.main_thread().name}
    assert recorder.before == list(range(NUM_IMAGES))
    assert [number for number, _ in recorder.after] == list(range(NUM_IMAGES))


# ---------------------------------------------------------------------- failures


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
    """Raises where an image is black, else leaves the probabilities."""

    def forward(self, image: np.ndarray, probabilities: Tensor) -> Tensor:
        if not image.any():
            raise _BlackImageError('the CRF saw black')
        return probabilities


def spoil(images: Path, stage: str) -> tuple[nn.Module, type[Exception], str]:
    """Make one image fail; give the model, the error and a part of its text."""
    model = segmentor(crf=CRF)
    model.crf = None
    image, labels = (images / name / f'{BAD}.png' for name in ('images', 'labels'))
    if stage == 'loading':
        labels.unlink()
        return model, FileNotFoundError, f'{BAD}.png'
    if stage == 'metric':
        cv2.imwrite(str(labels), np.full((46, 50), 77, np.uint8))
        return model, ValueError, 'holds the class 77'
    # A size that is its own canvas: no padding around it.
    cv2.imwrite(str(image), np.zeros((32, 64, 3), np.uint8))
    cv2.imwrite(str(labels), np.zeros((32, 64), np.uint8))
    if stage == 'network':
        model.backbone = _FailingNetwork(model.backbone)
        return model, _BlackImageError, 'the network saw black'
    model.crf = _FailingCRF()
    return model, _BlackImageError, 'the CRF saw black'


STAGES = ('loading', 'network', 'crf', 'metric')


@pytest.mark.parametrize('max_pending', [0, 2])
@pytest.mark.parametrize('stage', STAGES)
def test_failure_is_noted_and_the_test_goes_on(
    images: Path, tmp_path: Path, stage: str, max_pending: int
) -> None:
    model, error, text = spoil(images, stage)
    metrics, recorder = run(model, images, tmp_path / 'work', loop=dict(
        collect_failures=True, max_pending=max_pending))
    assert metrics.pop('failed_images') == 1
    assert [name for _, names in recorder.after for name in names] == [
        name for name in NAMES if name != f'{BAD}.png']

    (record, ) = json.loads((tmp_path / 'work' / 'failures.json').read_text())
    assert record['path'] == str(images / 'images' / f'{BAD}.png')
    assert record['stage'] == stage
    assert record['error'].startswith(f'{error.__name__}: ') and text in record['error']
    log = log_text(tmp_path / 'work')
    assert f'failed while testing {record["path"]} ({stage}):' in log
    assert 'Traceback (most recent call last)' in log
    assert '1 images failed and count in no metric' in log
    assert not list((tmp_path / 'work').glob('.*.part'))

    # The metrics are those of the other images.
    for name in ('images', 'labels'):
        (images / name / f'{BAD}.png').unlink(missing_ok=True)
    expected, _ = run(model, images, tmp_path / 'others', loop=dict(type='TestLoop'))
    assert metrics == expected


@pytest.mark.parametrize('max_pending', [0, 2])
@pytest.mark.parametrize('stage', STAGES)
def test_failure_ends_the_test_and_names_the_image(
    images: Path, tmp_path: Path, stage: str, max_pending: int
) -> None:
    model, error, text = spoil(images, stage)
    runner, recorder = make_runner(model, images, tmp_path, loop=dict(max_pending=max_pending))
    with pytest.raises(error, match=text) as raised:
        runner.test()
    where = f'while testing {images}/images/{BAD}.png ({stage})'
    assert f'stopped {where}' in log_text(tmp_path)
    if sys.version_info >= (3, 11):
        assert raised.value.__notes__ == [where]
    # The images before it are done with, whichever thread failed; none after it is.
    assert [number for number, _ in recorder.after] == list(range(BAD))
    assert not (tmp_path / 'failures.json').exists()
    assert model.crf_deferred is False
    assert not [thread for thread in threading.enumerate() if 'evaluation' in thread.name]


def test_earlier_images_failure_comes_first(images: Path, tmp_path: Path) -> None:
    """The network fails at an image while the CRF of the one before it has yet to fail."""
    model = segmentor(crf=CRF)
    for index in (1, 2):
        cv2.imwrite(str(images / 'images' / f'{index}.png'), np.zeros((32, 64, 3), np.uint8))
        cv2.imwrite(str(images / 'labels' / f'{index}.png'), np.zeros((32, 64), np.uint8))
    seen = threading.Event()

    class LateCRF(_FailingCRF):

        def forward(self, image: np.ndarray, probabilities: Tensor) -> Tensor:
            if not image.any():
                assert seen.wait(timeout=60)
            return super().forward(image, probabilities)

    class SecondBlack(nn.Module):

        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module = module
            self.black = 0

        def forward(self, inputs: Tensor) -> list[Tensor]:
            self.black += bool((inputs < -1.7).all())
            if self.black == 2:
                seen.set()
                raise _BlackImageError('the network saw black')
            return self.module(inputs)

    model.crf = LateCRF()
    model.backbone = SecondBlack(model.backbone)
    runner, _ = make_runner(model, images, tmp_path)
    with pytest.raises(_BlackImageError, match='the CRF saw black'):
        runner.test()
    assert 'images/1.png (crf)' in log_text(tmp_path)


@pytest.mark.parametrize('max_pending', [0, 2])
def test_file_is_named_when_another_process_loads_it(
    images: Path, tmp_path: Path, max_pending: int
) -> None:
    (images / 'images' / f'{BAD}.png').write_bytes(b'no picture')
    (images / 'images' / '4.png').write_bytes(b'')
    metrics, recorder = run(
        segmentor(), images, tmp_path, num_workers=2,
        loop=dict(collect_failures=True, max_pending=max_pending))
    assert metrics['failed_images'] == 2
    records = json.loads((tmp_path / 'failures.json').read_text())
    assert [Path(record['path']).name for record in records] == [f'{BAD}.png', '4.png']
    assert [names for _, names in recorder.after] == [['0.png'], ['1.png'], ['3.png']]


@TRANSFORMS.register_module()
class _Crash(BaseTransform):
    """Ends the loading process, as the system does when memory runs out."""

    def transform(self, results: dict) -> dict:
        if Path(results['img_path']).name == '1.png':
            os._exit(1)
        return results


class _Ending(Hook):
    """Ends the test after an image, by other means than the image's failure."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def after_test_iter(self, runner, batch_idx, **kwargs) -> None:  # noqa: ANN001, ANN003
        if batch_idx == 3:
            raise self.error


@pytest.mark.parametrize('max_pending', [0, 2])
@pytest.mark.parametrize('error', [RuntimeError('the disk is full'), KeyboardInterrupt()])
def test_failures_are_listed_though_something_else_ends_the_test(
    images: Path, tmp_path: Path, error: BaseException, max_pending: int
) -> None:
    model, _, _ = spoil(images, 'metric')
    runner, _ = make_runner(model, images, tmp_path, loop=dict(
        collect_failures=True, max_pending=max_pending))
    runner.register_hook(_Ending(error))
    with pytest.raises(type(error)):
        runner.test()
    (record, ) = json.loads((tmp_path / 'failures.json').read_text())
    assert record['path'] == str(images / 'images' / f'{BAD}.png')
    assert '1 images failed' in log_text(tmp_path)


@pytest.mark.parametrize('rank', [0, 1])
def test_a_process_that_ends_alone_writes_its_own_list(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    """It asks nothing of the others, which may be gone."""
    def gather(data: object) -> list:
        raise RuntimeError('connection closed by peer')

    monkeypatch.setattr('mmengine.dist.all_gather_object', gather)
    monkeypatch.setattr('mmengine.dist.get_rank', lambda: rank)
    (tmp_path / f'failures_{rank}.json').write_text('["of an earlier run"]')
    model, _, _ = spoil(images, 'metric')
    runner, _ = make_runner(model, images, tmp_path, loop=dict(collect_failures=True))
    with pytest.raises(RuntimeError, match='closed by peer'):
        runner.test()
    name = f'failures_{rank}.json' if rank else 'failures.json'
    assert len(json.loads((tmp_path / name).read_text())) == 1


@pytest.mark.parametrize('max_pending', [0, 2])
def test_failures_are_listed_in_the_order_of_the_images(
    images: Path, tmp_path: Path, max_pending: int
) -> None:
    """A file that cannot be loaded is known before the CRF of the image before it has failed."""
    model = segmentor(crf=CRF)

    class SlowCRF(nn.Module):

        def forward(self, image: np.ndarray, probabilities: Tensor) -> Tensor:
            time.sleep(.1)
            raise _BlackImageError('the CRF saw black')

    model.crf = SlowCRF()
    for index in (1, 3):
        (images / 'images' / f'{index}.png').write_bytes(b'no picture')
    runner, _ = make_runner(model, images, tmp_path, loop=dict(
        collect_failures=True, max_pending=max_pending))
    with pytest.raises(ValueError, match='no image was evaluated'):
        runner.test()
    records = json.loads((tmp_path / 'failures.json').read_text())
    assert [(Path(record['path']).name, record['stage']) for record in records] == [
        ('0.png', 'crf'), ('1.png', 'loading'), ('2.png', 'crf'), ('3.png', 'loading'),
        ('4.png', 'crf')]


def test_broken_loader_is_no_images_failure(images: Path, tmp_path: Path) -> None:
    pipeline = [dict(type='LoadImageFromFile'), dict(type='_Crash'),
                dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
    runner, _ = make_runner(segmentor(), images, tmp_path, num_workers=1, pipeline=pipeline,
                            loop=dict(collect_failures=True))
    with pytest.raises(RuntimeError, match='exited unexpectedly'):
        runner.test()
    assert not (tmp_path / 'failures.json').exists()


def test_a_run_without_failures_says_so(images: Path, tmp_path: Path) -> None:
    for name in ('failures.json', 'failures_1.json', 'failures_12.json', 'failures_mine.json'):
        (tmp_path / name).write_text('["of an earlier run"]')
    metrics, _ = run(segmentor(), images, tmp_path, loop=dict(collect_failures=True))
    assert metrics['failed_images'] == 0
    assert json.loads((tmp_path / 'failures.json').read_text()) == []
    # Those of processes that this test does not have are gone, and nothing else.
    assert sorted(path.name for path in tmp_path.glob('failures*')) == [
        'failures.json', 'failures_mine.json']


@pytest.mark.parametrize('rank', [0, 1])
def test_a_list_of_another_process_of_this_test_stays(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    """It may have failed before this one begins."""
    monkeypatch.setattr('mmengine.dist.get_rank', lambda: rank)
    monkeypatch.setattr('mmengine.dist.is_main_process', lambda: rank == 0)
    monkeypatch.setattr('mmengine.dist.get_world_size', lambda: 3)
    names = ['failures.json', *(f'failures_{other}.json' for other in (1, 2, 3))]
    for name in names:
        (tmp_path / name).write_text('["of another process"]')
    runner, _ = make_runner(segmentor(), images, tmp_path, loop=dict(collect_failures=True))
    runner.build_test_loop(runner._test_loop)._remove_lists()
    assert sorted(path.name for path in tmp_path.glob('failures*')) == [
        name for name in names if name != names[rank] and (rank or name != names[3])]


def test_failures_are_listed_even_if_no_image_is_left(images: Path, tmp_path: Path) -> None:
    for index in range(NUM_IMAGES):
        (images / 'labels' / f'{index}.png').unlink()
    runner, _ = make_runner(segmentor(), images, tmp_path, loop=dict(collect_failures=True))
    with pytest.raises(ValueError, match='no image was evaluated'):
        runner.test()
    assert len(json.loads((tmp_path / 'failures.json').read_text())) == NUM_IMAGES
    assert '5 images failed' in log_text(tmp_path)


@METRICS.register_module()
class _Picky(BaseMetric):
    """Counts images and fails at one."""

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        for sample in data_samples:
            if Path(sample['img_path']).name == f'{BAD}.png':
                raise _BlackImageError('not this one')
            self.results.append(1)

    def compute_metrics(self, results: list) -> dict:
        return {'images': len(results)}


@METRICS.register_module()
class _Counting(_Picky):
    """Counts images."""

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        self.results.extend(data_samples)


def test_failed_image_counts_in_no_metric(images: Path, tmp_path: Path) -> None:
    """Neither in the one that failed nor in the ones before it."""
    metrics, _ = run(
        segmentor(), images, tmp_path, loop=dict(collect_failures=True),
        evaluator=[dict(type='_Counting', prefix='first'), dict(type='_Picky', prefix='second')])
    assert metrics == {'first/images': 4, 'second/images': 4, 'failed_images': 1}


# ---------------------------------------------------------------------- several processes


def test_two_processes_report_what_one_does(
    images: Path, tmp_path: Path, repo_root: Path
) -> None:
    """Of the five images the first is given twice, to make even shares; it and another fail."""
    bad = ['0', '3']
    for index in bad:
        (images / 'labels' / f'{index}.png').unlink()
    expected, _ = run(segmentor(crf=CRF), images, tmp_path / 'alone', loop=dict(
        collect_failures=True))
    assert expected['failed_images'] == len(bad)
    together = tmp_path / 'together'
    together.mkdir()
    processes = [
        subprocess.Popen(
            [sys.executable, '-W', 'ignore', str(Path(__file__).with_name('share.py')),
             str(together), str(images), str(rank)],
            env={**os.environ, 'PYTHONPATH': f'{repo_root}{os.pathsep}{repo_root / "tests"}'},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for rank in (0, 1)
    ]
    for process in processes:
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output
    for rank in (0, 1):
        assert json.loads((together / f'rank{rank}.json').read_text()) == expected
    records = json.loads((together / 'work' / 'failures.json').read_text())
    assert sorted(Path(record['path']).stem for record in records) == bad


# ---------------------------------------------------------------------- options


@pytest.mark.parametrize('loop, message', [
    (dict(max_pending=-1), 'max_pending must be an integer >= 0, got -1'),
    (dict(collect_failures='yes'), "collect_failures must be True or False, got 'yes'"),
])
def test_bad_options_are_refused(images: Path, tmp_path: Path, loop: dict, message: str) -> None:
    runner, _ = make_runner(segmentor(), images, tmp_path, loop=loop)
    with pytest.raises((TypeError, ValueError), match=message):
        runner.test()


def test_collecting_failures_needs_single_images(images: Path, tmp_path: Path) -> None:
    runner, _ = make_runner(
        segmentor(), images, tmp_path, loop=dict(collect_failures=True), batch_size=2)
    with pytest.raises(ValueError, match=r'needs test_dataloader.batch_size=1.*got 2'):
        runner.test()


def test_crf_that_nothing_would_run_is_refused(images: Path, tmp_path: Path) -> None:
    config = stock_config()
    config['test_cfg'] = dict(mode='whole', crf=CRF)
    runner, _ = make_runner(build(config), images, tmp_path)
    with pytest.raises(ValueError, match="EncoderDecoder runs no CRF.*'LRREncoderDecoder'"):
        runner.test()
