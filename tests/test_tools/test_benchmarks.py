# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What the benchmarks choose and count; not what they measure."""

import sys
from pathlib import Path
from unittest import mock

import pytest
from mmengine.config import Config

TOOLS = Path(__file__).resolve().parents[2] / 'tools' / 'benchmarks'
CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'lrr'
sys.path.append(str(TOOLS))

# isort: split
import config_cost  # noqa: E402
import gated  # noqa: E402


@pytest.mark.parametrize(('count', 'total', 'expected'), [
    (1, 5, [0]),
    (2, 5, [0, 2]),
    (4, 8, [0, 2, 4, 6]),
    (7, 3, [0, 1, 2]),
])
def test_images_of_the_gated_benchmark(count: int, total: int, expected: list[int]) -> None:
    assert gated.evenly_spaced(count, total) == expected


@pytest.mark.parametrize('count', [1, 2, 12, 50, 100, 101])
def test_as_many_images_as_were_asked_for(count: int) -> None:
    """CamVid has 101."""
    numbers = gated.evenly_spaced(count, 101)
    assert len(numbers) == count and numbers[-1] < 101
    steps = {after - before for before, after in zip(numbers, numbers[1:], strict=False)}
    assert not steps or max(steps) - min(steps) <= 1


def test_no_images_at_all(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys, 'argv', ['gated.py', 'CONFIG', 'CHECKPOINT', '--images', '0'])
    with pytest.raises(SystemExit):
        gated.main()
    assert '--images must be at least 1, got 0' in capsys.readouterr().err


def test_configs_of_one_network_share_a_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    names = ['lrr4x_r18_camvid', 'lrr32x_r18_camvid', 'lrr4x_r18_camvid_stage2']
    monkeypatch.setattr(
        sys, 'argv', ['config_cost.py', *(str(CONFIGS / f'{name}.py') for name in names)])
    steps = []

    def small_step(model: Config, size: tuple[int, int], device: str) -> dict[str, int]:
        steps.append(len(model.decode_head.in_channels))
        return dict(weights=steps[-1] * 10**6, operations=steps[-1] * 10**9, kept=0)

    with mock.patch.object(config_cost, 'one_step', small_step):
        config_cost.main()
    assert steps == [4, 1]
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [(row[0], row[2], row[3]) for row in rows] == [
        (names[0], '4', '4'), (names[1], '1', '1'), (names[2], '4', '4')]


def test_a_real_step_leaves_the_network_as_it_was_described() -> None:
    cfg = Config.fromfile(CONFIGS / 'lrr4x_r18_shapes_demo.py')
    own = config_cost.network(cfg)
    found = config_cost.one_step(own[0], (32, 32), 'cpu')
    assert config_cost.network(cfg) == own
    assert found['weights'] > 10**7 and found['operations'] > 10**8 and found['kept'] > 10**5
    # Start weights and colours cost nothing; the size does.
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='x.pth')
    cfg.model.data_preprocessor.mean = [0, 0, 0]
    assert config_cost.network(cfg) == own
    cfg.model.data_preprocessor.size = (32, 32)
    assert config_cost.network(cfg) != own
