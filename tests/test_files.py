# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Files appear whole or not at all."""

from pathlib import Path

import pytest

from mmseg_lrr.files import replacing


def test_a_file_is_replaced_when_all_went_well(tmp_path: Path) -> None:
    path = tmp_path / 'made' / 'x.txt'
    for content in ('old', 'new'):
        with replacing(path) as temporary:
            temporary.write_text(content)
            assert temporary.parent == path.parent and temporary != path
            assert not path.exists() or path.read_text() == 'old'
    assert [(file.name, file.read_text()) for file in path.parent.iterdir()] == [('x.txt', 'new')]


@pytest.mark.parametrize('error', [OSError, KeyboardInterrupt])
def test_a_failure_keeps_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / 'x.txt'
    path.write_text('old')
    with pytest.raises(error), replacing(path) as temporary:
        temporary.write_text('half')
        raise error
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [('x.txt', 'old')]
