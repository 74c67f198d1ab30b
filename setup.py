"""Packaging; the versions of the environment `make env` builds are in tools/."""

import pathlib
import re
import shutil

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.develop import develop

ROOT = pathlib.Path(__file__).parent
SOURCE = (ROOT / 'mmdistill' / '__init__.py').read_text()


RECIPES = ('configs', 'tools')
"""Folders that MIM looks for in `.mim` of an installed package."""


class BuildWithRecipes(build_py):
    """Put the tools and the configs where MIM looks for them in a wheel."""

    def run(self):
        """Build, then copy."""
        super().run()
        # Setuptools before 64 knows no editable wheels.
        if getattr(self, 'editable_mode', False):
            return
        target = pathlib.Path(self.build_lib, 'mmdistill', '.mim')
        shutil.rmtree(target, ignore_errors=True)
        for name in RECIPES:
            ignored = shutil.ignore_patterns('__pycache__', *NOT_SHIPPED)
            shutil.copytree(ROOT / name, target / name, ignore=ignored)


class DevelopWithRecipes(develop):
    """Link the tools and the configs to where MIM looks for them in a clone."""

    def run(self):
        """Link, then install."""
        link_recipes()
        super().run()


def link_recipes():
    """Make `mmdistill/.mim` of the clone, which git ignores."""
    target = ROOT / 'mmdistill' / '.mim'
    target.mkdir(exist_ok=True)
    for name in RECIPES:
        link = target / name
        if not link.exists():
            link.unlink(missing_ok=True)  # a link whose target was moved
            link.symlink_to(pathlib.Path('..', '..', name), target_is_directory=True)


# They work on a clone of the repository only.
NOT_SHIPPED = ('benchmarks', 'demo.sh', 'setup_env.py')

setup(
    name='mmdistill',
    version=re.search(r"__version__ = '(.+)'", SOURCE).group(1),
    description='Data Distillation as an MMPose plug-in',
    license='Apache-2.0',
    cmdclass={'build_py': BuildWithRecipes, 'develop': DevelopWithRecipes},
    packages=find_packages(include=['mmdistill', 'mmdistill.*']),
    package_data={'mmdistill.reports': ['templates/*']},
    python_requires='>=3.10',
    # The lower bounds are the versions of `make test-oldest`. MMPose, MMDetection and
    # mmcv are not named: pip would follow their own requirements too, reach for chumpy
    # or compile mmcv a second time. `mmdistill.cli.environment` tells what is missing
    # of them.
    install_requires=[
        'mmengine>=0.10.7',
        'numpy>=1.26.4',
        'pillow',
        'pyarrow>=17.0.0,<26',
        'torch>=2.1.0',
        'jinja2>=3.0.3',
        'matplotlib>=3.8.0',
        'av>=17.0.0,<19',
        'ImageHash>=4.3.2,<5',
    ],
    # The versions that are tested, beside numpy 1.
    extras_require={
        # Labels of other tools.
        'import': ['sleap-io>=0.9.5,<0.10', 'tables>=3.10.1,<4'],
        # tools/export_onnx.py.
        'onnx': ['onnx>=1.23,<2', 'onnxscript>=0.7.2,<0.8', 'onnxruntime>=1.32,<2'],
        # tools/train.py --logger tensorboard.
        'tensorboard': ['tensorboard>=2.21,<3'],
    },
)
