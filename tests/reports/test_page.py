import shutil
import subprocess
from pathlib import Path

import cv2
import pytest

import mmdistill.reports
from mmdistill.reports.report import decimals

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
QUIET = (
    *('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic'),
    *('--no-first-run', '--disable-background-networking', '--disable-sync'),
    *('--disable-component-update', '--hide-scrollbars', '--enable-logging=stderr'),
)
needs_browser = pytest.mark.skipif(BROWSER is None, reason='needs Chromium')
TEMPLATES = Path(mmdistill.reports.__file__).parent / 'templates'


@pytest.mark.parametrize(
    ('value', 'text'), [(0.12345, '0.123'), (1234.5, '1,234.500'), (float('nan'), '–')]
)
def test_numbers_have_three_decimals_and_none_is_a_dash(value, text):
    assert decimals(value) == text


def test_the_page_closes_what_it_opens(written):
    (html,) = written.root.all('html')
    assert html.attributes['lang'] == 'en'
    assert [c.tag for c in html.children if not isinstance(c, str)] == ['head', 'body']


def test_the_page_forbids_what_is_not_in_it(written):
    (policy,) = [m for m in written.root.all('meta') if 'http-equiv' in m.attributes]
    assert policy.attributes['content'].startswith("default-src 'none'; img-src data:")


def test_headings_name_their_sections(written):
    sections = written.root.all('section')
    for section in sections:
        (heading,) = section.all('h2')
        assert heading.attributes['id'] == section.attributes['aria-labelledby']
    assert len(sections) == len(written.root.all('h2')) == 7


def test_columns_have_headings_and_tables_captions(written):
    for table in written.root.all('table'):
        (caption,) = table.all('caption')
        assert caption.text
        assert all('scope' in cell.attributes for cell in table.all('th'))


def test_the_style_is_for_dark_light_and_paper():
    style = (TEMPLATES / 'report.css').read_text()
    assert '(prefers-color-scheme: dark)' in style
    assert '@media print' in style


def shown(text, folder, *options):
    """What a browser says of a page on its console, and a picture of it."""
    (folder / 'page.html').write_text(text, encoding='utf-8')
    command = [
        *(str(BROWSER), *QUIET, f'--user-data-dir={folder / "profile"}'),
        *(f'--screenshot={folder / "page.png"}', '--window-size=390,844', *options),
        (folder / 'page.html').as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    lines = [line for line in done.stderr.splitlines() if 'CONSOLE' in line]
    return lines, cv2.imread(str(folder / 'page.png'))


@needs_browser
@pytest.mark.parametrize(
    ('scheme', 'is_dark'), [('0', True), ('1', False)], ids=['dark', 'light']
)
def test_a_browser_shows_it_and_has_no_complaint(written, tmp_path, scheme, is_dark):
    option = f'--blink-settings=preferredColorScheme={scheme}'
    complaints, picture = shown(written.text, tmp_path, option)
    assert complaints == []
    assert picture.shape[1] == 390
    assert picture.std() > 10
    assert (picture[:8].mean() < 60) == is_dark


@needs_browser
def test_a_script_that_slipped_in_would_not_run(written, tmp_path):
    text = written.text.replace('</main>', '<script>document.body = 0</script></main>')
    complaints, _ = shown(text, tmp_path)
    assert len(complaints) == 1
    assert 'Content Security Policy' in complaints[0]
