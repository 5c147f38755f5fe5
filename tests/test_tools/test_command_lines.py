# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Every tool starts: on a stack without compiled operators the package must come first."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = sorted(path for path in (Path(__file__).resolve().parents[2] / 'tools').rglob('*.py')
               if "__name__ == '__main__'" in path.read_text())
#: Need the package before them: they ask for compiled operators.
TOOLBOX = ('mmseg.apis', 'mmseg.models', 'mmseg.datasets', 'mmpretrain')
#: MMSegmentation's own parsers, and one that is built from what it runs.
WITH_TORCH = ('train.py', 'test.py', 'toolbox.py', 'compare_heads.py')


def imported(path: Path) -> list[str]:
    """The modules that a file imports when it starts, in order, those of siblings among them."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in [getattr(node, 'module', None) or node.names[0].name]:
                sibling = path.parent / f'{name}.py'
                names += imported(sibling) if sibling.exists() else [name]
    return names


def test_the_package_is_imported_before_the_toolbox() -> None:
    assert {path.name for path in TOOLS} >= {'report.py', 'visualize.py', 'export_onnx.py'}
    for tool in TOOLS:
        names = imported(tool)
        toolbox = [i for i, name in enumerate(names) if name.startswith(TOOLBOX)]
        package = [i for i, name in enumerate(names) if name.split('.')[0] == 'mmseg_lrr']
        assert not toolbox or (package and package[0] < toolbox[0]), (tool, names)


@pytest.mark.parametrize('tool', [
    pytest.param(path, marks=pytest.mark.slow if path.name in WITH_TORCH else ()) for path in TOOLS
], ids=lambda path: path.name)
def test_help_does_not_wait_for_torch(tool: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, '-X', 'importtime', str(tool), '--help'], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f'usage: {tool.name}' in done.stdout
    assert (' torch.nn\n' in done.stderr) == (tool.name in WITH_TORCH)
