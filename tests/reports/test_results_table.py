import json
import statistics

import pytest

from mmdistill.errors import UserError
from mmdistill.reports.results_table import compare, mean_and_deviation, read_results


@pytest.fixture
def metrics(tmp_path):
    def write(name, **values):
        path = tmp_path / name
        path.write_text(json.dumps(values))
        return path

    return write


def rows_of(table):
    header, rule, *rows = table.split('\n')
    assert set(rule) == {'-'}
    return [line.split() for line in (header, *rows)]


def test_rows_keep_the_given_order_and_columns_that_of_the_first_file(metrics):
    b = metrics('b.json', AR=0.5, AP=0.25)
    a = metrics('a.json', AP=1, AR=0.75)
    assert rows_of(compare([f'b={b}', f'a={a}'])) == [
        ['AR', 'AP'],
        ['b', '0.500', '0.250'],
        ['a', '0.750', '1.000'],
    ]


def test_only_asked_metrics_are_shown(metrics):
    a = metrics('a.json', AP=0.5, AR=0.75, PCK=0.25)
    table = compare([f'a={a}'], ['PCK', 'AP'])
    assert rows_of(table) == [['PCK', 'AP'], ['a', '0.250', '0.500']]


def test_several_files_give_mean_and_sample_deviation(metrics):
    values = [0.1, 0.4, 0.6]
    files = [metrics(f'{v}.json', AP=v) for v in values]
    row = rows_of(compare([f'a={",".join(map(str, files))}']))[1]
    mean, deviation = sum(values) / 3, statistics.stdev(values)
    assert row == ['a', f'{mean:.3f}', '±', f'{deviation:.3f}']


def test_deviation_divides_by_one_less_than_the_seeds():
    assert mean_and_deviation([0.0, 2.0]) == '1.000 ± 1.414'


def test_lines_end_at_the_same_column(metrics):
    a = metrics('a.json', **{'coco/AP .5': 0.5, 'coco/AP': 1})
    b = metrics('b.json', **{'coco/AP .5': 0.5, 'coco/AP': -1})
    lines = compare([f'teacher={a},{b}', f't={b}']).split('\n')
    assert len({len(line) for line in lines}) == 1


def test_an_equals_sign_in_a_path_belongs_to_the_path(metrics):
    path = metrics('lr=1.json', AP=0.5)
    assert rows_of(compare([f'a={path}']))[1] == ['a', '0.500']


@pytest.mark.parametrize('source', ['metrics.json', '=a.json', 'name=', 'name=,'])
def test_a_row_without_name_or_file_is_refused(source):
    with pytest.raises(UserError, match=r'a row must be name=metrics\.json'):
        compare([source])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r'none\.json cannot be read'):
        compare([f'a={tmp_path / "none.json"}'])


def test_a_missing_metric_is_named_with_its_file(metrics):
    a, b = metrics('a.json', AP=0.5), metrics('b.json', AR=0.5)
    with pytest.raises(UserError, match=r'b\.json has no AP, only AR'):
        compare([f'x={a},{b}'])


@pytest.mark.parametrize('content', ['[0.5]', '{}', '{"AP": "high"}', '3'])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / 'metrics.json'
    path.write_text(content)
    with pytest.raises(UserError, match=r'metrics\.json must'):
        compare([f'a={path}'])


def test_no_row_is_refused():
    with pytest.raises(UserError, match='at least one'):
        compare([])


def test_results_keep_the_value_of_every_seed(metrics):
    files = [metrics(f'{v}.json', AP=v, AR=1 - v) for v in (0.25, 0.75)]
    results = read_results([f'a={files[0]},{files[1]}', f'b={files[1]}'], ['AR'])
    assert results.metrics == ['AR']
    assert results.rows == {'a': [[0.75, 0.25]], 'b': [[0.25]]}


def test_two_rows_of_one_name_are_refused(metrics):
    a = metrics('a.json', AP=0.5)
    with pytest.raises(UserError, match='the same name'):
        compare([f'a={a}', f'a={a}'])


@pytest.mark.parametrize(
    'value', ['null', 'NaN', 'Infinity', '-Infinity', '1' + '0' * 400]
)
def test_a_figure_that_is_not_known_is_a_dash(tmp_path, value):
    (tmp_path / 'a.json').write_text(f'{{"AP": {value}, "AR": 0.5}}')
    (tmp_path / 'b.json').write_text('{"AP": 0.25, "AR": 0.75}')
    table = compare([f'one={tmp_path / "a.json"},{tmp_path / "b.json"}'])
    assert table.splitlines()[-1].split() == ['one', '-', '0.625', '±', '0.177']
