"""Packaging; the versions of the environment `make env` builds are in tools/."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
SOURCE = (ROOT / 'mmdistill' / '__init__.py').read_text()

setup(
    name='mmdistill',
    version=re.search(r"__version__ = '(.+)'", SOURCE).group(1),
    description='Data Distillation as an MMPose plug-in',
    license='Apache-2.0',
    packages=find_packages(include=['mmdistill', 'mmdistill.*']),
    python_requires='>=3.10',
    # Lower bounds only, each tested. MMPose, MMDetection and mmcv are not named:
    # pip would follow their own requirements too, reach for chumpy or compile
    # mmcv a second time. `mmdistill.environment` tells what is missing of them.
    install_requires=['mmengine>=0.10.7', 'numpy', 'pillow', 'pyarrow<26', 'torch'],
)
