"""HTML that was made safe, in a real browser: nothing runs, nothing loads, nothing leaves its place, though it stands in a
page without any sandbox. The same page with what came in shows that the traps work."""
import html
import json
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest
from shell import SUITES, batch

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium here")

OWN = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "<iframe src='javascript:parent.alert(1)'></iframe>",
    "<object data='javascript:alert(1)'>",
    "<style>@import 'javascript:alert(1)'</style><style>*{animation:x}</style>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<textarea><p title='</textarea><img src=x onerror=alert(1)>'>",
    "<title><a title='</title><img src=x onerror=alert(1)>'>",
    "<style><a title='</style><img src=x onerror=alert(1)>'>",
    "<xmp><p title='</xmp><img src=x onerror=alert(1)>'>",
    "<select><style></select><img src=x onerror=alert(1)></style>",
    "<table><td><table><p title='</table><img src=x onerror=alert(1)>'>",
    "<a href='java\nscript:alert(1)' id=clickme>x</a>",
    "<img alt='`><img src=x onerror=alert(1)>'>",
    "<img src='x` `onerror=alert(1)'`>",
    "<p style='background:url(javascript:alert(1))'><p style='x:expression(alert(1))'>",
    "<div></div></div></div></body></html><script>alert(1)</script>",
    "<plaintext><img src=x onerror=alert(1)>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<base href='javascript:alert(1)//'>",
    "<input autofocus onfocus=alert(1)>",
    "<marquee onstart=alert(1)>x</marquee>",
    "<video><source onerror=alert(1)></video>",
]

PAGE = """<!doctype html><meta charset=utf-8><script>
let hits = 0;
for (const name of ["alert", "confirm", "prompt", "open", "xss"]) window[name] = () => { hits++; };
</script>
%s
<script id=judge>
addEventListener("load", () => setTimeout(() => {
  const wrong = [];
  for (const box of document.querySelectorAll("div.case"))
    for (const one of box.querySelectorAll("*")) {
      if (/^(script|iframe|frame|object|embed|form|input|button|base|meta|link|svg|math|template|video|audio)$/i.test(one.localName)) wrong.push(box.id + " " + one.localName);
      for (const a of one.attributes) {
        if (/^on|^srcset$|^formaction$|^id$|^name$/i.test(a.name)) wrong.push(box.id + " " + a.name);
        if (/^(href|src|background)$/.test(a.name) && !/^(https?:|mailto:|tel:|data:image\\/(png|jpe?g|gif|webp|bmp))/i.test(a.value)) wrong.push(box.id + " " + a.value);
      }
    }
  const outer = [...document.body.children].filter(one => !one.matches("div.case, script#judge, pre")).map(one => one.outerHTML.slice(0, 80));
  const cases = document.querySelectorAll("body > div.case").length;
  document.body.innerHTML = "<pre id=told></pre>";
  document.querySelector("#told").textContent = JSON.stringify({ hits, wrong, outer, cases });
}, 300));
</script>
"""


def look(pieces):
    """What a browser made of them, each in a box of its own on one page."""
    body = "".join(f'<div class="case" id="c{i}">{piece}</div>\n' for i, piece in enumerate(pieces))
    with tempfile.TemporaryDirectory() as folder:
        page = pathlib.Path(folder, "page.html")
        page.write_text(PAGE % body)
        shown = subprocess.run(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={folder}/profile",
             "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=5000", "--dump-dom", page.as_uri()],
            capture_output=True, text=True, timeout=180)
    told = re.search(r"<pre id=\"told\">(.*?)</pre>", shown.stdout, re.S)
    assert told, (shown.stdout[-500:], shown.stderr[-500:])
    return json.loads(html.unescape(told.group(1)))


def payloads():
    file = SUITES / "html-xss-dompurify/payloads.json"
    return OWN + ([one["payload"] for one in json.loads(file.read_text())] if file.exists() else [])


def test_nothing_runs():
    given = payloads()
    for images in (False, True):
        safe = [one["html_safe"] for one in batch("html", [{"html": one, "images": images} for one in given])]
        told = look(safe)
        assert told == {"hits": 0, "wrong": [], "outer": [], "cases": len(given)}, told


def test_the_traps_work():
    hits = 0
    for one in ("<img src=x onerror=alert(1)>", "<svg onload=alert(1)>", "<details open ontoggle=alert(1)>", "<script>alert(1)</script>"):
        hits += look([one])["hits"] > 0
    assert hits >= 3
