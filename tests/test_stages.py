from pathlib import Path

from mmengine.config import Config

from mmdistill import stages


def test_a_config_without_section_just_trains(monkeypatch):
    stages_run = []

    class Runner:
        @classmethod
        def from_cfg(cls, config):
            return cls()

        def train(self):
            stages_run.append('train')

        def test(self):
            stages_run.append('test')

    monkeypatch.setattr('mmengine.runner.Runner', Runner)

    stages.train(Config(dict(model=dict())))

    assert stages_run == ['train']


def test_a_config_with_section_is_labelled_first(monkeypatch):
    stages_run = []

    class Runner:
        @classmethod
        def from_cfg(cls, config):
            return cls()

        def train(self):
            stages_run.append('train')

    monkeypatch.setattr('mmengine.runner.Runner', Runner)
    monkeypatch.setattr(stages, 'label', lambda config: stages_run.append('label'))

    source = dict(type='mmdistill.PseudoLabelDataset', labels='labels')
    section = dict(teacher=dict(), unlabeled=dict(), labels='labels')
    loader = dict(dataset=dict(datasets=[source]))

    stages.train(Config(dict(distill=section, train_dataloader=loader)))

    assert stages_run == ['label', 'train']


def test_a_mixed_training_gets_what_it_takes_to_be_resumed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('t.pth').touch()
    trained, told = [], []

    class Runner:
        @classmethod
        def from_cfg(cls, config):
            trained.append(config)
            return cls()

        def train(self):
            pass

    monkeypatch.setattr('mmengine.runner.Runner', Runner)
    monkeypatch.setattr(stages, 'label', lambda config: None)
    monkeypatch.setattr(
        'mmdistill.resumable_configs.print_log', lambda t, **_: told.append(t)
    )

    source = dict(type='mmdistill.PseudoLabelDataset', labels='labels')
    section = dict(teacher=dict(checkpoint='t.pth'), unlabeled=dict(), labels='labels')
    loader = dict(
        batch_size=5,
        batch_sampler=dict(type='mmdistill.MixedRatioBatchSampler'),
        dataset=dict(datasets=[source]),
    )
    config = dict(
        distill=section,
        train_dataloader=loader,
        train_cfg=dict(by_epoch=False, max_iters=3),
        load_from='t.pth',
    )

    stages.train(Config(config))

    assert trained[0].train_cfg.type == 'mmdistill.ResumableIterLoop'
    assert trained[0].train_dataloader.dataset.type == 'mmdistill.SeededDataset'
    assert told == ['the student starts from the teacher t.pth, not as in the paper']
