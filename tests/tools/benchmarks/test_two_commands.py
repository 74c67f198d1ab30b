"""Recipes that are written beside those that are made by hand."""

import json
from pathlib import Path

import pytest

from tests.helpers.distilling import write_images

GOOD, BAD = [0.1, 0.04], [0.1, 0.3]


class Commands:
    """Notes commands, and leaves the results of students."""

    def __init__(self) -> None:
        self.called: list[list[str]] = []

    def __call__(self, words, name, environment):
        self.called.append([name, *words[2:]])
        if name == 'tools/new_recipe.py':
            Path(words[words.index('--out') + 1]).mkdir(parents=True)
        elif name == 'tools/distill.py':
            by_hand = '--work-dir' in words
            folder = Path('runs/toy', 'hand' if by_hand else 'commands')
            path = folder / 'student-distill/student/images.json'
            path.parent.mkdir(parents=True, exist_ok=True)
            write_images(path, [0.5] * 12)
            content = json.loads(path.read_text())
            content['errors'] = [BAD if by_hand else GOOD] * 12
            path.write_text(json.dumps(content))
        return 0.0


@pytest.fixture
def module(load, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return load('two_commands')


def test_both_students_are_compared_and_the_recipe_is_written_once(
    module, monkeypatch, capsys
):
    commands = Commands()
    monkeypatch.setattr(module, 'run_command', commands)
    arguments = ['toy', '--work-dir', 'runs']
    module.main([*arguments, '--status'])
    assert commands.called == []
    assert capsys.readouterr().out.count('not done') == 2

    module.main(arguments)

    names = [command[0] for command in commands.called]
    assert names == [
        *('tools/make_toy_data.py', 'tools/new_recipe.py'),
        *('tools/distill.py', 'tools/distill.py'),
    ]
    *table, last = capsys.readouterr().out.splitlines()
    assert json.loads(last)['toy']['hand'] == {'PCK@0.2': 0.5, 'PCK@0.05': 0.0}
    assert json.loads(last)['toy']['commands'] == {'PCK@0.2': 1.0, 'PCK@0.05': 0.5}
    assert table[-1].split()[:3] == ['toy', 'difference', '+0.5000']

    module.main(arguments)
    assert [command[0] for command in commands.called[4:]] == [
        *('tools/make_toy_data.py', 'tools/distill.py', 'tools/distill.py')
    ]


@pytest.mark.parametrize('name', ['lspe', 'openfield', 'toy'])
def test_no_setting_is_stated_but_where_the_data_are(module, name):
    new_recipe, distill = module.by_commands(name, Path('runs', name), 2)
    data = {
        *('--labeled', '--val', '--unlabeled', '--images', '--boxes'),
        *('--detector', '--detector-checkpoint', '--out', '--work-dir', '--yes'),
    }
    assert {word for word in new_recipe if word.startswith('-')} <= data
    assert distill[2:] == ['--jobs', '2']
    hand = module.by_hand(name, Path('runs', name), 2)
    stated = [word.split('=')[1] for word in hand if word.startswith('distill.')]
    assert stated
    assert all(Path(path).is_relative_to(Path('runs', name)) for path in stated)
