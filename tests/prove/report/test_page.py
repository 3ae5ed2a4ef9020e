"""The page of a run: complete, by itself, and safe."""

import re
import shutil
import subprocess

import pytest

from levgen.prove.diagnose.divergence import Divergence
from levgen.prove.ladder import Climbed, rung_named
from levgen.prove.outcome import failed, passed, skipped
from levgen.prove.report.page import render_page
from levgen.prove.state import State

MODULES = [
    {"path": "h.0.attn", "layer": 0, "part": "attn", "class": "Attention", "error": 2e-7},
    {"path": "h.1.attn", "layer": 1, "part": "attn", "class": "Attention", "error": 0.5},
    {"path": "h.0", "layer": 0, "part": "layer", "class": "DecoderLayer", "error": 1e-7},
    {"path": "norm", "layer": None, "part": "norm", "class": "LayerNorm", "error": 3e-8},
]
STEPS = [
    Climbed(rung_named("modules"), failed("beyond <the> bound", "5e-01", data={"modules": MODULES}), 1.0),
    Climbed(rung_named("forward"), passed("1e-07", data={"by_position": [1e-7, 2e-7, 1e-2]}), 1.0),
    Climbed(rung_named("cache"), skipped("none yet"), 0.0),
]
DIVERGENCE = Divergence(
    "Attention", "h.1.attn", "queries differ", "theta: another", "theta", 1.0, 7, ("a < b", "b < a")
)


@pytest.fixture
def page(files):
    found = files("gpt2")
    return render_page(found, STEPS, State().updated(STEPS, found), DIVERGENCE)


def test_it_needs_nothing_from_outside(page):
    assert not re.search(r"(src|href)=|url\(|@import|<script|<link", page)


def test_it_shows_all_of_the_run(page):
    assert "1 passed, 1 failed, 1 skipped" in page
    assert re.search(r'<td class="status failed">failed</td><td class="figure">5e-01; beyond &lt;the&gt; bound', page)
    assert "queries differ" in page
    assert "- a &lt; b\n+ b &lt; a" in page
    assert '<span class="e5">5.0e-01</span>' in page, "an error far beyond the bound has the darkest shade"
    assert '<span class="e0">2.0e-07</span>' in page
    assert '<td colspan="2"><span class="e0">3.0e-08</span>' in page, "what is outside of layers spans them"
    assert page.count("<polyline") == 1
    assert "transformers.models.gpt2.modeling_gpt2.GPT2LMHeadModel" in page
    assert "models/gpt2.py" in page


def test_it_is_the_same_from_run_to_run(files, page):
    found = files("gpt2")
    assert render_page(found, STEPS, State().updated(STEPS, found), DIVERGENCE) == page


@pytest.mark.slow
@pytest.mark.parametrize("width", [500, 1000], ids=["phone", "desk"])
def test_a_browser_draws_it(page, tmp_path, width):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no Chromium here")
    (tmp_path / "page.html").write_text(page)
    picture = tmp_path / "page.png"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},1600"]
    command += [f"--screenshot={picture}", (tmp_path / "page.html").as_uri()]
    subprocess.run(command, capture_output=True, check=True, timeout=120)
    assert picture.stat().st_size > 20_000, "a page that was not drawn is a few kilobytes of white"
