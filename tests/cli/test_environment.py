"""Tests of the sentence that a missing or wrong piece of the host gives."""

import os
import subprocess
import sys
from unittest import mock

import pytest

from mmdistill.cli.environment import COMMANDS, check_environment
from mmdistill.errors import UserError


def lacking(module):
    """Return a finder that finds everything but one module."""
    return lambda name: name != module


def failing(module, error):
    """Return an importer that imports everything but one module."""

    def load(name):
        if name == module:
            raise error
        return mock.Mock()

    return load


def check_subprocess(tmp_path):
    """Check an environment whose first folder of packages is ``tmp_path``."""
    code = (
        'import sys; from mmdistill.cli.main import run; '
        'from mmdistill.cli.environment import check_environment\n'
        'sys.exit(run(lambda argv: check_environment()))'
    )
    return subprocess.run(
        [sys.executable, '-c', code],
        env={**os.environ, 'PYTHONPATH': str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_this_environment_passes():
    check_environment()


def test_without_a_network_no_operators_are_needed():
    check_environment(lacking('mmcv._ext'), failing('mmcv.ops', ImportError()), False)


@pytest.mark.parametrize('module', sorted(COMMANDS))
def test_missing_package_is_named_with_its_command(module):
    with pytest.raises(
        UserError, match=rf'^{module} is not .*`.*pip install'
    ) as caught:
        check_environment(lacking(module), failing('', None))
    assert COMMANDS[module] in str(caught.value)


def test_setuptools_without_pkg_resources():
    with pytest.raises(UserError, match=r'pkg_resources.*"setuptools<81"'):
        check_environment(lacking('pkg_resources'), failing('', None))


def test_mmcv_without_ops():
    with pytest.raises(UserError, match=r'without its compiled.*MMCV_WITH_OPS=1 pip'):
        check_environment(lacking('mmcv._ext'), failing('', None))


@pytest.mark.parametrize(
    ('module', 'error', 'sentence'),
    [
        ('mmcv.ops', ImportError('undefined symbol'), 'another torch.*no-cache-dir'),
        ('xtcocotools.mask', ValueError('dtype size changed'), 'numpy 2.*"numpy<2"'),
        ('mmdet', AssertionError('MMCV==2.2.0 is used'), 'mmdet.*"mmcv>=2.1,<2.2"'),
        ('cv2', ImportError('libGL.so.1: no such file'), 'libGL.*apt-get .*libgl1'),
        ('cv2', ImportError('No module named cv2'), 'pip install "opencv-python'),
    ],
)
def test_piece_that_does_not_import(module, error, sentence):
    with pytest.raises(UserError, match=sentence):
        check_environment(lacking(''), failing(module, error))


def test_ops_that_import_and_fail_when_they_run():
    def load(name):
        failure = RuntimeError('nms_impl: implementation for device cuda:0 not found.')
        return mock.Mock(nms=mock.Mock(side_effect=failure))

    with pytest.raises(UserError, match='compiled for another torch'):
        check_environment(lacking(''), load)


def test_defect_of_the_host_is_not_renamed():
    with pytest.raises(RuntimeError):
        check_environment(lacking(''), failing('mmpose', RuntimeError('other')))


def test_mmcv_lite_in_a_process_is_one_line_and_exit_2(tmp_path):
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv' / '__init__.py').write_text('__version__ = "2.1.0"\n')
    result = check_subprocess(tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith('error: mmcv is installed without its compiled')
    assert result.stderr.count('\n') == 1


def test_ops_of_another_torch_in_a_process(tmp_path):
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv' / '__init__.py').write_text('')
    (tmp_path / 'mmcv' / '_ext.so').write_bytes(b'not a library of this torch')
    (tmp_path / 'mmcv' / 'ops.py').write_text('import mmcv._ext')
    result = check_subprocess(tmp_path)
    assert result.returncode == 2
    assert 'compiled for another torch' in result.stderr


def test_numpy_2_beside_xtcocotools_in_a_process(tmp_path):
    (tmp_path / 'xtcocotools').mkdir()
    (tmp_path / 'xtcocotools' / '__init__.py').write_text('')
    (tmp_path / 'xtcocotools' / 'mask.py').write_text(
        'raise ValueError("numpy.dtype size changed, Expected 96, got 88")\n'
    )
    result = check_subprocess(tmp_path)
    assert result.returncode == 2
    assert 'numpy.dtype size changed' in result.stderr


def test_host_is_not_imported_before_the_check():
    code = (
        'import sys, mmdistill.cli.environment, mmdistill.cli.main\n'
        'sys.exit(bool({"torch", "numpy", "mmengine", "mmcv"} & set(sys.modules)))'
    )
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


@pytest.mark.parametrize('version', ['1.13.1', '2.0.1+cpu'])
def test_a_torch_older_than_the_oldest_environment_is_refused(version):
    def load(name):
        return mock.Mock(__version__=version)

    with pytest.raises(UserError, match=rf'at least 2\.1, this is {version[:3]}'):
        check_environment(lacking('nothing'), load)


@pytest.mark.parametrize('version', ['2.1.0', '2.12.1+cu130', '3.0.0'])
def test_newer_torch_passes(version):
    check_environment(lacking('nothing'), lambda name: mock.Mock(__version__=version))
