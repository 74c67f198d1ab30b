"""Profile of labeling with mmdistill, and of a model's precisions on this CPU.

The first table has the shares of the parts of one pass; the second has the bare
forward pass in each form, which bounds every way of labeling from below.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

from tools.benchmarks.labeling.methods import Ours

BATCH = 8
REPEATS = 5
FORMS = {
    'float32': ('float32', False, False),
    'float32, batch norms folded': ('float32', True, False),
    'float32, compiled': ('float32', False, True),
    'bfloat16, batch norms folded': ('bfloat16', True, False),
}
"""Precision, folding and compilation of a `Network` by name."""


class Stopwatch:
    """Adds up the seconds spent in functions."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a function to add its seconds under a name."""

        def run(*args: Any, **settings: Any) -> Any:
            start = time.perf_counter()
            result = function(*args, **settings)
            self.seconds[name] += time.perf_counter() - start
            return result

        return run


def show_profile(ours: dict[str, Ours]) -> None:
    """Print both tables, the shares for each mode."""
    for mode, way in ours.items():
        seconds = shares(way)
        print(f'\n{mode} mode, shares of {sum(seconds.values()):.2f} s')
        for step, spent in seconds.most_common():
            print(f'  {step:38}{spent / sum(seconds.values()):7.1%}')
    print(f'\nthis CPU: {", ".join(instruction_sets())}; the bare forward pass')
    for form, milliseconds in bare_forms(next(iter(ours.values()))).items():
        print(f'  {form:38}{milliseconds:7.2f} ms a crop')


def shares(way: Ours) -> Counter[str]:
    """Measure the seconds of one pass by step."""
    watch, (teacher,) = Stopwatch(), way.model.teachers
    before = teacher.network, teacher.adapter.start
    network = watch.timed('network', teacher.network)
    network.refresh_if_changed = teacher.network.refresh_if_changed  # type: ignore[attr-defined]
    teacher.network = network
    teacher.cutter.cut = watch.timed('cutting crops', teacher.cutter.cut)
    teacher.normalizer.inputs = watch.timed('normalizing', teacher.normalizer.inputs)

    def start(*args: Any) -> Any:
        fusion = before[1](*args)
        fusion.add = watch.timed('undoing views and adding', fusion.add)
        fusion.decode = watch.timed("decoding with the model's codec", fusion.decode)
        return fusion

    teacher.adapter.start = start
    begin = time.perf_counter()
    way()
    whole = time.perf_counter() - begin
    teacher.network, teacher.adapter.start = before
    del teacher.cutter.cut, teacher.normalizer.inputs
    watch.seconds['reading images, and the rest'] = whole - sum(watch.seconds.values())
    return watch.seconds


def instruction_sets() -> list[str]:
    """Return the CPU flags that determine the speed of each precision."""
    native = {
        'AVX512-VNNI (int8)': torch.cpu._is_vnni_supported(),
        'AVX512-BF16': torch.cpu._is_avx512_bf16_supported(),
        'AMX': torch.cpu._is_amx_tile_supported(),
    }
    known = [f'{"" if has else "no "}{name}' for name, has in native.items()]
    return [torch.backends.cpu.get_cpu_capability(), *known]


@torch.no_grad()
def bare_forms(way: Ours) -> dict[str, float]:
    """Measure milliseconds per crop of the bare forward pass in each mode."""
    from mmdistill.models.network import Network

    shape = next(iter(way.inputs))
    layout = torch.channels_last
    inputs = torch.randn(BATCH, *shape[1:]).contiguous(memory_format=layout)
    module, milliseconds = way.model.module, {}
    for name, settings in FORMS.items():
        network = Network(module, *settings)
        milliseconds[name] = seconds_of(network, inputs) / BATCH * 1e3
    return milliseconds


def seconds_of(network: Any, inputs: torch.Tensor) -> float:
    """Measure the median seconds of a forward pass, after the first."""
    network(inputs)
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        network(inputs)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
