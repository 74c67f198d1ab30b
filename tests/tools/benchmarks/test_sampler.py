import json


def test_a_small_run_prints_the_table_and_the_figures(load, capsys):
    load('sampler').main(['--sizes', '1000', '2000', '--tries', '1'])

    *table, last = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in table[-2:]] == ['1,000', '2,000']
    assert {line.count('|') for line in table[-4:]} == {11}
    figures = json.loads(last)
    assert figures['setup_growth_10k_to_10m'] > 0
    assert figures['mmpose_over_ours_setup'] > 0
