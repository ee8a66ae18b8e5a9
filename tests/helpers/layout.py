"""What is wrong with how a page looks, found in headless Chromium: a script in a copy of it measures every text."""

import html
import json
import re
from pathlib import Path

from browser import shown

SMALLEST, CONTRAST = 9.0, 4.5
"""Pixels of a text, and how far it must stand out from what is behind it (WCAG 2, level AA)."""
MEASURE = """
const wrong = [], body = document.body.getBoundingClientRect();
const say = (what, ...of) => wrong.push([what, ...of.map(t => String(t).slice(0, 40))]);
const boxes = [...document.querySelectorAll("svg text")].filter(e => e.textContent.trim()).map(e => {
  const own = [...e.childNodes].filter(n => n.nodeType == 3).map(n => n.data).join("");
  return {e, own, svg: e.ownerSVGElement, box: e.getBoundingClientRect()};
}).filter(t => t.own);
for (const t of boxes) {
  const m = t.e.getScreenCTM(), size = parseFloat(getComputedStyle(t.e).fontSize) * Math.hypot(m.a, m.b);
  if (size < SMALLEST) say("small", size, t.own);
  const out = t.svg.getBoundingClientRect();
  if (t.box.left < out.left - 1 || t.box.right > out.right + 1) say("cut", t.own);
}
for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) {
  const a = boxes[i].box, b = boxes[j].box;
  const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  if (boxes[i].svg == boxes[j].svg && x > 1 && y > 3) say("on top of each other", boxes[i].own, boxes[j].own);
}
const scrolls = e => e && (/auto|scroll|hidden/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
for (const e of document.querySelectorAll("body *")) {
  const box = e.getBoundingClientRect();
  if (box.width && box.right > body.right + 1 && !scrolls(e.parentElement)) say("too wide", e.tagName, e.textContent);
}
const light = c => c.map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
const shade = c => { const [r, g, b] = light(c); return .2126 * r + .7152 * g + .0722 * b; };
const rgb = t => (t.match(/[\\d.]+/g) || []).map(Number);
const behind = e => { const c = e ? rgb(getComputedStyle(e).backgroundColor) : [255, 255, 255, 1];
  return c.length > 3 && c[3] == 0 ? behind(e.parentElement) : c.slice(0, 3); };
for (const e of document.querySelectorAll("p,td,th,h1,h2,h3,a,figcaption,summary,pre,svg text")) {
  if (!e.textContent.trim() || !e.getBoundingClientRect().width) continue;
  const style = getComputedStyle(e), own = rgb(e.ownerSVGElement ? style.fill : style.color).slice(0, 3);
  const [a, b] = [shade(own), shade(behind(e))], ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  if (ratio < CONTRAST) say("pale", ratio, e.textContent);
}
const found = document.createElement("code");
found.id = "found"; found.textContent = JSON.stringify(wrong); document.body.append(found);
"""


def wrong_with(page: Path, folder: Path, *, phone: bool = False, dark: bool = False) -> list[list[str]]:
    """What is too small, cut off, too wide, too pale or on top of another text; as on a phone of 390 pixels."""
    text = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", page.read_text())
    narrow = "<style>body{max-width:390px !important}</style>" if phone else ""
    script = MEASURE.replace("SMALLEST", str(SMALLEST)).replace("CONTRAST", str(CONTRAST))
    copy = folder / f"measured_{page.name}"
    copy.write_text(text.replace("</body>", f"{narrow}<script>{script}</script></body>"))
    more = ("--blink-settings=preferredColorScheme=0",) if dark else ()
    document = shown(copy, folder, 500 if phone else 1280, more)[0]
    return json.loads(html.unescape(re.search(r'<code id="found">(.*?)</code>', document, re.S)[1]))
