# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Logs of the toolbox's runner are read, put together and drawn."""

import json
from pathlib import Path

import pytest

from mmseg_lrr.visualization.training_log import read_training_log, training_figure


def write(work_dir: Path, time: str, *records: dict) -> None:
    folder = work_dir / time / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text(
        ''.join(json.dumps(record) + '\n' for record in records))


def train(step: int, loss: float, **more: float) -> dict:
    return {'lr': .1, 'loss': loss, 'decode.loss_ce_32x': loss / 2, 'decode.acc_seg': 50,
            'iter': step, 'step': step, **more}


def test_losses_and_scores_of_every_level(tmp_path: Path) -> None:
    write(tmp_path, '20260101_000000', train(10, 4.), train(20, 2.),
          {'aAcc': 80, 'mIoU': 50., 'mIoU_32x': 40., 'mAcc': 60, 'step': 20}, train(30, 1.))
    log = read_training_log(tmp_path)
    assert log.losses == {'loss': {10: 4., 20: 2., 30: 1.},
                          'loss_ce_32x': {10: 2., 20: 1., 30: .5}}
    assert log.scores == {'mIoU': {20: 50.}, '32x': {20: 40.}}


def test_resumed_run_goes_on_and_new_run_starts_anew(tmp_path: Path) -> None:
    write(tmp_path, '20260101_000000', train(10, 4.), train(20, 3.), train(30, 9.),
          {'mIoU': 1., 'step': 30})
    write(tmp_path, '20260102_000000', train(30, 2.), train(40, 1.), {'mIoU': 50., 'step': 40})
    write(tmp_path, '20260103_000000', {'mIoU': 70., 'step': 0})  # a test
    log = read_training_log(tmp_path)
    assert log.losses['loss'] == {10: 4., 20: 3., 30: 2., 40: 1.}
    assert log.scores == {'mIoU': {40: 50.}}
    write(tmp_path, '20260104_000000', train(5, 8.))
    log = read_training_log(tmp_path)
    assert log.losses['loss'] == {5: 8.} and log.scores == {}


def test_scores_by_epoch_stand_at_their_iteration(tmp_path: Path) -> None:
    write(tmp_path, '20260101_000000', train(100, 4., epoch=1), {'mIoU': 30., 'step': 1},
          train(200, 2., epoch=2), {'mIoU': 40., 'step': 2})
    assert read_training_log(tmp_path).scores == {'mIoU': {100: 30., 200: 40.}}


def test_no_log_and_no_training_give_none(tmp_path: Path) -> None:
    assert read_training_log(tmp_path) is None
    write(tmp_path, '20260101_000000', {'mIoU': 70., 'step': 0})
    assert read_training_log(tmp_path) is None


def test_broken_line_is_named_and_nan_left_out(tmp_path: Path) -> None:
    write(tmp_path, '20260101_000000', train(10, float('nan')), train(20, 2.))
    assert read_training_log(tmp_path).losses['loss'] == {20: 2.}
    log = tmp_path / '20260101_000000' / 'vis_data' / 'scalars.json'
    log.write_text(log.read_text() + '{"loss": 1')
    with pytest.raises(ValueError, match='scalars.json, line 3 is not JSON'):
        read_training_log(tmp_path)


def test_figure_has_a_line_a_loss_and_a_line_a_level(tmp_path: Path) -> None:
    write(tmp_path, '20260101_000000',
          train(10, 4., **{'decode.loss_ce_4x': 3.}), train(20, 2., **{'decode.loss_ce_4x': 1.}),
          {'mIoU': 50., 'mIoU_32x': 40., 'mIoU_4x': 50., 'step': 20})
    losses, scores = training_figure(read_training_log(tmp_path)).axes
    assert [line.get_label() for line in losses.lines] == ['loss', 'loss_ce_32x', 'loss_ce_4x']
    assert list(losses.lines[2].get_ydata()) == [3., 1.]
    # The final output's line would cover 4x's.
    assert [line.get_label() for line in scores.lines] == ['32x', '4x']
    assert list(scores.lines[0].get_xdata()) == [20]
    assert losses.get_xlim() == scores.get_xlim()
    write(tmp_path, '20260102_000000', train(5, 8.))
    figure = training_figure(read_training_log(tmp_path), 'Training, a network')
    assert len(figure.axes) == 1 and figure.get_suptitle() == 'Training, a network'
