"""A page in headless Chromium: what a script measures in it, and its pixels."""

import html
import json
import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# A window is at least 500 wide: the page stands in a frame of the width wanted, whose media queries see that width.
_FRAME = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe style="border:0;width:{width}px;height:{height}px" srcdoc="{page}"></iframe>
<script>
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => {{
  const found = document.createElement("script");
  found.type = "application/json";
  found.textContent = JSON.stringify(measure(frame.contentDocument, frame.contentWindow));
  document.body.append(found);
}});
{measure}
</script>"""

_MEASURE = """
function numbers(color) { return color.match(/[\\d.]+/g).map(Number); }
function luminance(color) {
  const linear = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const [r, g, b] = numbers(color).map(linear);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(a, b) {
  const [x, y] = [luminance(a), luminance(b)].sort((u, v) => v - u);
  return (x + 0.05) / (y + 0.05);
}
function behind(element, win) {
  for (let e = element; e; e = e.parentElement) {
    const color = win.getComputedStyle(e).backgroundColor, alpha = numbers(color)[3];
    if (alpha === undefined || alpha === 1) return color;
  }
  return "rgb(255, 255, 255)";
}
function measure(doc, win) {
  const width = doc.documentElement.clientWidth, faint = [], outside = [], spilled = [];
  for (const e of doc.body.querySelectorAll("*")) {
    const own = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent.trim()).join("");
    if (!own) continue;
    const style = win.getComputedStyle(e), svg = e instanceof win.SVGElement;
    const ratio = contrast(svg ? style.fill : style.color, behind(svg ? e.ownerSVGElement.parentElement : e, win));
    if (ratio < 4.5) faint.push([own, ratio]);
    const box = e.getBoundingClientRect(), scrolls = e.closest(".scroll, pre");
    if (!scrolls && (box.left < -0.5 || box.right > width + 0.5)) outside.push(own);
  }
  let rect = null;
  for (const e of doc.querySelectorAll(".flow > *")) {
    if (e.tagName === "rect") rect = e.getBoundingClientRect();
    else if (e.tagName === "text" && e.hasAttribute("class")) {
      const box = e.getBoundingClientRect();
      if (box.left < rect.left || box.right > rect.right || box.top < rect.top - 1 || box.bottom > rect.bottom + 1)
        spilled.push(e.textContent);
    }
  }
  return {
    width, scrolls: doc.documentElement.scrollWidth, faint, outside, spilled,
    dark: win.matchMedia("(prefers-color-scheme: dark)").matches,
    background: win.getComputedStyle(doc.body).backgroundColor, sections: doc.querySelectorAll("section").length,
    smallest: Math.min(...[...doc.querySelectorAll("svg text")].map(e => e.getBoundingClientRect().height)),
  };
}
"""


def chromium() -> str:
    """The browser's command. Skips the test where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no Chromium here to draw the page")
    return found


def drawn(page: str, folder: Path, *, width: int, height: int, dark: bool) -> tuple[dict[str, Any], Any]:
    """What the script measures, and the pixels {height, width, 3} of `page` at `width`."""
    source, picture = folder / "frame.html", folder / "page.png"
    source.write_text(_FRAME.format(width=width, height=height, page=html.escape(page), measure=_MEASURE))
    # dark is 0 and light 1 for Blink.
    command = [chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={folder / 'profile'}", f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    command += [f"--window-size={max(width, 500)},{height}", "--virtual-time-budget=5000"]
    command += ["--dump-dom", f"--screenshot={picture}", source.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    data = dom.rpartition('<script type="application/json">')[2].partition("</script>")[0]
    return json.loads(html.unescape(data)), read_png(picture)[:, :width]


def read_png(path: Path) -> Any:
    """The pixels {height, width, 3} of an 8-bit RGB or RGBA picture that is not interlaced, as uint8."""
    data = path.read_bytes()
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    assert (depth, interlaced) == (8, 0)
    channels = {2: 3, 6: 4}[kind]
    packed, place = b"", 8
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        if data[place + 4 : place + 8] == b"IDAT":
            packed += data[place + 8 : place + 8 + length]
        place += 12 + length
    unpacked, stride = zlib.decompress(packed), width * channels
    above, rows = bytes(stride), []
    for start in range(0, len(unpacked), 1 + stride):
        above = _unfiltered(unpacked[start], unpacked[start + 1 : start + 1 + stride], above, channels)
        rows.append(above)
    return np.frombuffer(b"".join(rows), np.uint8).reshape(height, width, channels)[..., :3]


def _unfiltered(filter: int, row: bytes, above: bytes, channels: int) -> bytes:
    """A row without its filter (https://www.w3.org/TR/png/#9Filters); sums are modulo 256."""
    if filter == 0:
        return row
    out = bytearray(channels) + row
    corner = bytes(channels) + above
    for place, value in enumerate(row):
        left, up = out[place], above[place]
        if filter == 1:
            guess = left
        elif filter == 2:
            guess = up
        elif filter == 3:
            guess = (left + up) // 2
        else:
            other = corner[place]
            whole = left + up - other
            guess = min((abs(whole - left), 0, left), (abs(whole - up), 1, up), (abs(whole - other), 2, other))[2]
        out[place + channels] = (value + guess) & 255
    return bytes(out[channels:])
