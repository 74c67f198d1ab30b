from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_figures_are_of_the_steps_that_were_timed(load, capsys, monkeypatch):
    benchmark = load('step_overhead')
    seconds = {'with': iter((9, 4, 2)), 'without': iter((9, 1, 1))}
    seconds['again'] = iter((9, 2, 2))

    def step(loop):
        real(loop)
        value = next(seconds[Path(loop.runner.work_dir).name])
        return float(value), value / 2

    real = benchmark.SteppedLoop.step
    monkeypatch.setattr(benchmark.SteppedLoop, 'step', step)
    options = ['--steps', '2', '--warm-up', '1', '--batch-size', '4', '--images', '4']
    benchmark.main(options)

    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures['with_ms'] == 3000
    assert figures['ratio'] == 3
    assert figures['noise_ratio'] == 2
    assert figures['with_data_ms'] == 1500


def test_the_plain_training_reads_the_same_labels_without_our_parts(load, tmp_path):
    benchmark = load('step_overhead')
    options = argparse.Namespace(batch_size=4, warm_up=1, steps=1)
    benchmark.write_labels(tmp_path, 4)
    config = benchmark.toy_student(tmp_path, options)
    benchmark.stages.select(benchmark.Recipe.of(config), dict(score_thr=0.0))

    plain = benchmark.plain_config(config, tmp_path)

    assert 'mmdistill' not in plain.pretty_text
    exported = json.loads((tmp_path / 'labels.json').read_text())['annotations']
    truth = tmp_path / 'toy/annotations/unlabeled_oracle.json'
    true = json.loads(truth.read_text())['annotations']
    assert len(exported) == len(true) > 0
    for ours, given in zip(exported, true, strict=True):
        assert ours['keypoints'][:2] == pytest.approx(given['keypoints'][:2], abs=0.1)
