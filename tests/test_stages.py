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

    monkeypatch.setattr(stages, 'Runner', Runner)

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

    monkeypatch.setattr(stages, 'Runner', Runner)
    monkeypatch.setattr(stages, 'label', lambda config: stages_run.append('label'))

    source = dict(type='mmdistill.PseudoLabelDataset', labels='labels')
    section = dict(teacher=dict(), unlabeled=dict(), labels='labels')
    loader = dict(dataset=dict(datasets=[source]))

    stages.train(Config(dict(distill=section, train_dataloader=loader)))

    assert stages_run == ['label', 'train']
