# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Every tool starts: on a stack without compiled operators the package must come first."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = sorted(path for path in (ROOT / 'tools').rglob('*.py')
               if "__name__ == '__main__'" in path.read_text())
#: Need the package before them: they ask for compiled operators.
TOOLBOX = ('mmseg.apis', 'mmseg.models', 'mmseg.datasets', 'mmpretrain')


def imported(path: Path) -> list[str]:
    """The modules that a file imports when it starts, in order."""
    names = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module)
    return names


def test_there_are_tools() -> None:
    names = {path.name for path in TOOLS}
    assert names >= {'report.py', 'visualize.py', 'export_onnx.py', 'heads.py', 'camvid.py'}


@pytest.mark.parametrize('tool', TOOLS, ids=lambda path: path.name)
def test_the_package_is_imported_before_the_toolbox(tool: Path) -> None:
    names = imported(tool)
    for sibling in (tool.parent / f'{name}.py' for name in list(names)):
        if sibling.exists():  # imports of its own, made where it is imported
            place = names.index(sibling.stem)
            names[place:place + 1] = imported(sibling)
    toolbox = [i for i, name in enumerate(names) if name.startswith(TOOLBOX)]
    package = [i for i, name in enumerate(names) if name.split('.')[0] == 'mmseg_lrr']
    assert not toolbox or (package and package[0] < toolbox[0]), names


@pytest.mark.slow
@pytest.mark.parametrize('tool', TOOLS, ids=lambda path: path.name)
def test_help(tool: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(tool), '--help'], cwd=tmp_path, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    assert f'usage: {tool.name}' in done.stdout
