"""The page of a run: complete, by itself, and safe."""

import re

import numpy as np
import pytest
from browser import drawn

from levgen.architecture.catalogue import get
from levgen.project import find_project
from levgen.prove.diagnose.divergence import Divergence
from levgen.prove.ladder import Climbed, rung_named
from levgen.prove.outcome import failed, passed, skipped
from levgen.prove.report.page import render_page
from levgen.prove.state import State
from levgen.prove.subject import find_files
from levgen.scaffold.complete import complete
from levgen.scaffold.names import model_name
from levgen.scaffold.port import port_files
from levgen.survey.evidence import Evidence, Unknown
from levgen.survey.report import Survey

MODULES = [
    {"path": "h.0.attn", "layer": 0, "part": "attn", "class": "Attention", "error": 2e-7},
    {"path": "h.1.attn", "layer": 1, "part": "attn", "class": "Attention", "error": 0.5},
    {"path": "h.0.mlp", "layer": 0, "part": "mlp", "class": "MLP", "error": 5e-6},
    {"path": "h.1.mlp", "layer": 1, "part": "mlp", "class": "MLP", "error": 5e-5},
    {"path": "h.0.act", "layer": 0, "part": "act", "class": "GELU", "error": 5e-3},
    {"path": "h.1.act", "layer": 1, "part": "act", "class": "GELU", "error": 5e-2},
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


@pytest.fixture
def surveyed(project):
    """The page of a model that a survey found out; its record says so."""
    evidence = (
        Evidence("layout of rotary positions", "half", 1.84e-15, "interleaved", 2.0, "unit queries & keys"),
        Evidence("field of hidden_dim", "hidden_size", 0.0, probe="2 configs"),
        Evidence("window", None, probe="a value that was moved"),
    )
    unknown = (Unknown("field twist", "it changes nothing that was asked"),)
    survey = Survey("willow", get("llama"), evidence, unknown, (1.3e-6, 2.4e-6), 3.1e-6, 17.2)
    for file in port_files(complete(get("llama")), model_name("willow"), find_project(project), survey=survey):
        (project / file.path).write_text(file.content)
    found = find_files("willow", project)
    return render_page(found, STEPS, State().updated(STEPS, found), DIVERGENCE)


def test_it_needs_nothing_from_outside(page):
    assert not re.search(r"(src|href)=|url\((?!#)|@import|<script|<link", page)


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


def test_it_draws_a_layer(page):
    drawing = re.search(r'<svg class="flow".*?</svg>', page, re.S)[0]
    names = re.findall(r'<text class="name"[^>]*>([^<]*)', drawing)
    assert names == [
        *("transformer.wte", "+ transformer.wpe", "ln_1", "c_attn", "attend", "c_proj", "ln_2", "c_fc"),
        *("gelu_new", "c_proj", "transformer.ln_f", "lm_head"),
    ]
    assert drawing.count("<circle") == 2, "a sum after each block"
    assert ">x ← x + attention</text>" in drawing


def test_a_model_written_by_hand_shows_the_modules_of_a_layer(project):
    found = find_files("gpt2", project)
    found.record.unlink()
    page = render_page(found, STEPS, State().updated(STEPS, found), DIVERGENCE)
    assert '<code>attn</code> <span class="soft">Attention</span>' in page
    assert 'class="flow"' not in page


def test_it_shows_what_a_survey_went_by(surveyed, page):
    assert "By experiment on willow" in surveyed
    assert "differs by 2.4e-06 in logits and 3.1e-06 in gradients" in surveyed
    row = r"<td>layout of rotary positions</td><td><strong>half \(1\.8e-15\)</strong></td>"
    row += r"<td[^>]*>interleaved \(2\.0e\+00\)</td><td[^>]*>unit queries &amp; keys</td>"
    assert re.search(row, surveyed)
    assert "<td>window</td><td><strong>none</strong></td>" in surveyed
    assert "field twist: it changes nothing that was asked" in surveyed
    assert "By experiment" not in page, "a card was not surveyed now"


def test_it_is_the_same_from_run_to_run(files, page):
    found = files("gpt2")
    assert render_page(found, STEPS, State().updated(STEPS, found), DIVERGENCE) == page


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(390, True), (390, False), (1000, False)], ids=str)
def test_a_browser_draws_it_so_that_it_can_be_read(surveyed, tmp_path, width, dark):
    found, pixels = drawn(surveyed, tmp_path, width=width, height=900, dark=dark)
    assert found["dark"] == dark, "the browser does not take the scheme: nothing was tried"
    assert found["width"] == width
    assert found["scrolls"] <= width, "the page scrolls sideways"
    assert found["outside"] == [], "text beyond the edge"
    assert found["faint"] == [], "text too near its background in colour: less than 4.5 to 1"
    assert found["spilled"] == [], "words of the diagram outside of their box"
    assert found["smallest"] >= 9, "text of a drawing too small to be read"
    assert found["sections"] == 8
    page = {"light": (251, 251, 249), "dark": (20, 22, 26)}["dark" if dark else "light"]
    failed_cell = {"light": (199, 50, 46), "dark": (163, 40, 43)}["dark" if dark else "light"]
    assert tuple(pixels[1, 1]) == page
    share = (pixels != np.array(page, np.uint8)).any(axis=-1).mean()
    assert 0.5 < share < 1, "mostly cards with text, on the page's own ground"
    assert (pixels == np.array(failed_cell, np.uint8)).all(axis=-1).sum() > 200, "the failed module stands out"
