"""Templates of dialect handlebars say what handlebars.js says: a table of our own, rendered by both in this run. Where we
mean to differ (escaping by place, names of helpers that are variables, faults at save, characters counted as people do) is
told in tests/mail/test_template.c."""
import itertools
import json
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "build/asan/tests/mail_tool_template"
HANDLEBARS = ROOT / ".venv/handlebars/node_modules/handlebars"
PEER = """
const Handlebars = require(process.argv[1]);
require('readline').createInterface({input: process.stdin}).on('line', line => {
  const c = JSON.parse(line), h = Handlebars.create();
  h.registerHelper('raw', function (o) { return o.fn(this); });
  for (const [name, text] of Object.entries(c.partials || {})) h.registerPartial(name, text);
  try { console.log(JSON.stringify(h.compile(c.template, {noEscape: c.part === 'text'})(c.data))); }
  catch (e) { console.log(JSON.stringify({fault: e.message})); }
});
"""
VALUES = [0, 1, -1, 1.5, 1e21, 1e-7, 123456789.125, True, False, None, "", "x", "<&>\"'`=", "ä€😀", [], [0], [1, "a", None, [2, 3]],
          {}, {"a": 1}, {"b": {"c": "d"}}]
FORMS = ["{{x}}", "{{{x}}}", "{{&x}}", "{{#if x}}y{{else}}n{{/if}}", "{{#unless x}}y{{else}}n{{/unless}}", "{{#x}}[{{this}}]{{else}}n{{/x}}",
         "{{^x}}n{{else}}y{{/x}}", "{{#each x}}{{@index}}{{@key}}={{this}};{{else}}none{{/each}}", "{{#with x}}({{a}}{{this}}){{else}}n{{/with}}",
         "{{x.a}}|{{x.b.c}}|{{x.b.[c]}}", "{{#if x includeZero=true}}y{{else}}n{{/if}}"]
LIST = {"l": [{"n": "a", "m": [1, 2]}, {"n": "b", "m": []}, {"n": "c", "m": [3]}], "t": "T", "o": {"x": 1, "y": {"z": 2}}, "yes": True}
ONE = [  # template, data
    ("plain", {}), ("", {}), ("a\nb\r\nc", {}), ("{ {x} } }} {", {"x": 1}), ("{{ x }}{{x }}{{ x}}", {"x": 1}),
    ("{{a.b.c}}{{a/b/c}}{{a.b/c}}", {"a": {"b": {"c": 1}}}), ("{{a.[b c].d}}{{[e f]}}", {"a": {"b c": {"d": 1}}, "e f": 2}),
    ("{{this.x}}{{./x}}{{this/x}}{{x.this}}", {"x": 1}), ("{{\"a b\"}}{{12}}{{true}}", {"a b": 1, "12": 2, "true": 3}),
    ("{{a-b}}{{a_b}}{{a$b}}{{a:b}}{{ä}}{{a1}}{{1a}}", {"a-b": 1, "a_b": 2, "a$b": 3, "a:b": 4, "ä": 5, "a1": 6, "1a": 7}),
    ("{{x.length}}{{x.[0]}}{{x.[7]}}", {"x": [4, 5]}), ("{{x.length}}", {"x": "abc"}), ("{{x.y.z.w}}", {"x": {"y": None}}), ("{{x.0.a}}{{x.1.a}}", {"x": [{"a": 1}, {"a": 2}]}), ("{{toString}}{{x.constructor}}", {"x": {}}),
    ("\\{{x}} {{x}}", {"x": 1}), ("\\\\{{x}}", {"x": 1}), ("a\\{{x}}b\\{{y}}c{{x}}", {"x": 1}), ("\\ {{x}} \\n", {"x": 1}), ("\\{{{x}}} {{x}}", {"x": 1}),
    ("{{! c }}x{{!-- {{y}} --}}z", {}), ("{{!--}}--}}a", {}), ("{{!----}}a", {}), ("a\n{{! c }}\nb", {}), ("a\n  {{!-- c\n d --}}  \nb", {}), ("{{! }}\n", {}),
    ("{{!-- a -- b --- }} --}}x", {}), ("a {{~! c ~}} b", {}), ("a {{~!-- c --~}} b", {}), ("a\n {{~x~}} \nb", {"x": 1}), ("a {{~{x}~}} b", {"x": "<"}),
    ("a {{~&x~}} b", {"x": "<"}), ("a {{x~}} b {{~x}} c", {"x": 1}),
    ("{{#if a}}A{{else if b}}B{{else if c}}C{{else}}D{{/if}}", {"a": 1}), ("{{#if a}}A{{else if b}}B{{else if c}}C{{else}}D{{/if}}", {"b": 1}),
    ("{{#if a}}A{{else if b}}B{{else if c}}C{{else}}D{{/if}}", {"c": 1}), ("{{#if a}}A{{else if b}}B{{else if c}}C{{else}}D{{/if}}", {}),
    ("{{#if a}}A{{else if b}}B{{/if}}!", {}), ("{{#if a}}A{{^}}B{{/if}}", {}), ("{{#if a}}{{#if b}}1{{else}}2{{/if}}{{else}}3{{/if}}", {"a": 1}),
    ("{{#if a}}A{{else unless b}}B{{else}}C{{/if}}", {}), ("{{#each l}}{{this}}{{else if b}}B{{/each}}", {"b": 1}), ("{{#each l}}x{{else with b}}{{c}}{{/each}}", {"b": {"c": 1}}),
    ("{{#unless a}}{{x}}{{/unless}}", {"x": 1}), ("{{^a}}{{x}}{{/a}}", {"x": 1}), ("{{#a}}{{x}}{{^}}{{y}}{{/a}}", {"a": {"x": 1}, "y": 2}), ("{{#a}}{{x}}{{^}}{{y}}{{/a}}", {"y": 2}),
    ("{{#each l}}{{n}}{{#each m}}{{this}}{{../n}}{{@index}}{{@../index}}{{/each}};{{/each}}", LIST), ("{{#each l}}{{@first}}{{@last}} {{/each}}", LIST),
    ("{{#each o}}{{@key}}:{{this}},{{@first}}{{@last}} {{/each}}", LIST), ("{{#each l}}{{../t}}{{@root.t}}{{@root.o.x}}{{t}}{{/each}}", LIST),
    ("{{#each l}}{{#if ../yes}}{{n}}{{../t}}{{/if}}{{/each}}", LIST), ("{{#each l}}{{#with this}}{{n}}{{../t}}{{/with}}{{/each}}", LIST),
    ("{{#with o}}{{x}}{{#with y}}{{z}}{{../x}}{{../../t}}{{/with}}{{/with}}", LIST), ("{{#with o as |p|}}{{p.x}}{{x}}{{/with}}", LIST),
    ("{{#each l as |i k|}}{{i.n}}{{k}}{{n}}{{#each i.m as |j|}}{{j}}{{i.n}}{{k}}{{/each}};{{/each}}", LIST), ("{{#each o as |v k|}}{{k}}={{v}} {{/each}}", LIST),
    ("{{#l}}{{n}}{{@index}}{{#m}}{{.}}{{../n}}{{/m}}{{/l}}", LIST), ("{{#o}}{{x}}{{../t}}{{/o}}", LIST), ("{{#yes}}{{t}}{{../t}}{{/yes}}", LIST), ("{{#t}}{{this}}{{../yes}}{{/t}}", LIST),
    ("{{#each l}}{{#each m}}{{../../t}}{{else}}-{{../t}}{{/each}}{{/each}}", LIST), ("{{#each (lookup this 'l')}}{{n}}{{/each}}", LIST), ("{{lookup o 'x'}}{{lookup l 1}}{{lookup (lookup o 'y') 'z'}}", LIST),
    ("{{#each l}}{{lookup @root.l @index}}{{#with (lookup @root.l @index)}}{{n}}{{/with}}{{/each}}", LIST), ("{{#each l}}{{@root.l.length}}{{m.length}}{{/each}}", LIST),
    ("{{#each t}}x{{else}}none{{/each}}", LIST), ("{{#each l}}{{.}}{{this.n}}{{./n}}{{/each}}", LIST), ("{{@root.t}}{{@index}}{{@none}}{{@root}}", LIST), ("{{../t}}{{../../t}}|{{t}}", LIST),
    ("{{#each l}}{{#unless @last}}{{n}}, {{else}}{{n}}.{{/unless}}{{/each}}", LIST), ("{{#each l}}{{#if @first}}[{{/if}}{{n}}{{#if @last}}]{{/if}}{{/each}}", LIST),
    ("{{#with t}}{{this}}{{../t}}{{/with}}{{#with none}}x{{else}}{{t}}{{/with}}", LIST), ("{{#each m}}{{#each this}}{{this}}{{/each}};{{/each}}", {"m": [[1, 2], [], [3]]}),
    ("{{#each m}}{{#each ../m}}{{this}}{{/each}}{{/each}}", {"m": [1, 1, 2]}), ("{{#each m}}{{this}}{{../x}}{{/each}}", {"m": ["a", None, False, 0], "x": 1}),
    ("a\n{{#if x}}\nb\n{{else}}\nc\n{{/if}}\nd\n", {"x": 1}), ("a\n{{#if x}}\nb\n{{else}}\nc\n{{/if}}\nd\n", {}), ("  {{#if x}}\n  b\n  {{/if}}\n", {"x": 1}), ("{{#if x}}\r\nb\r\n{{/if}}\r\nc", {"x": 1}),
    ("{{#if x}} b {{/if}} c", {"x": 1}), ("a {{#if x}}\nb\n{{/if}} c\n", {"x": 1}), ("{{#if x}}\n\nb\n\n{{/if}}\n\nc", {"x": 1}), ("{{#if x}}{{#if x}}\na\n{{/if}}{{/if}}\nb", {"x": 1}),
    ("{{#if x}}\n{{#if x}}\na\n{{/if}}\n{{/if}}\nb", {"x": 1}), ("\n{{#each l}}\n  - {{n}}\n{{/each}}\nend", LIST), ("{{#each l}}\n{{n}}{{/each}}\n", LIST), ("{{#each l}}{{n}}\n{{/each}}x", LIST),
    ("{{#if x}}\na\n{{else if y}}\nb\n{{else}}\nc\n{{/if}}\nz", {"y": 1}), ("{{#if x}}\na\n{{else if y}}\nb\n{{else}}\nc\n{{/if}}\nz", {}), ("a{{#if x}}\n\n{{/if}}\nb", {"x": 1}), ("{{#if x}}\t \na{{/if}}\t \nb", {"x": 1}),
    ("x\n{{#if x~}}\n a \n{{~else~}}\n b \n{{~/if}}\ny", {"x": 1}), ("x\n{{#if x~}}\n a \n{{~else~}}\n b \n{{~/if}}\ny", {}), ("x {{~#if x}} a {{/if~}} y", {"x": 1}), ("x {{~^x}} a {{/x~}} y", {}),
    ("{{#each l~}} {{n}} {{~/each}}", LIST), (" {{~#each l}}{{~n~}} {{/each}} ", LIST), ("{{x}}\n{{x}}\n  {{x}}  \n", {"x": 1}), ("{{^x}}\na\n{{/x}}\nb", {}), ("{{#x}}\na\n{{^}}\nb\n{{/x}}\nc", {}),
    ("{{#if x}}\n{{! c }}\n{{/if}}\ny", {"x": 1}), ("{{#if x}}  {{! c }}\n{{/if}}\ny", {"x": 1}), ("\n\n{{! a }}\n\n{{! b }}\n\n", {}), ("  {{! a }}  {{! b }}\nx", {}), ("{{! a }}x\n{{! b }}", {}),
    ("{{#if \"\"}}a{{else}}b{{/if}}{{#if \"0\"}}a{{else}}b{{/if}}{{#if 0}}a{{else}}b{{/if}}{{#if null}}a{{else}}b{{/if}}{{#if undefined}}a{{else}}b{{/if}}{{#if true}}a{{/if}}", {}),
    ("{{#with \"x\"}}{{this}}{{/with}}{{#with 5}}{{this}}{{/with}}", {}), ("{{#each \"x\"}}a{{else}}b{{/each}}", {}), ("{{x}}{{y}}{{z}}", {"x": 1234567890123456, "y": 0.1, "z": 100}), ("{{x}}", {"x": [[1, [2, None]], {}]}),
    ("{{{x}}}{{{y}}}", {"x": "<b>", "y": None}), ("{{x}}", {"x": "a&amp;b"}), ("<p class=\"{{x}}\">{{y}}</p>", {"x": "a b", "y": "\"q\""}), ("<a href=\"{{u}}/p?x=1\">", {"u": "https://a.example/b&c"}),
    ("<a href=\"https://a.example/{{u}}\" title='{{t}}'>", {"u": "b/c", "t": "it's"}), ("<!-- {{x}} -->", {"x": "-->"}), ("<td width={{x}}>", {"x": 100}), ("{{x", {}), ("{{#if x}}", {}), ("{{/if}}", {}), ("{{#if x}}{{/each}}", {}),
    ("{{else}}", {}), ("{{x}", {}), ("{{}}", {}), ("{{a/../b}}", {}), ("{{#if a}}{{else}}{{else}}{{/if}}", {}), ("{{#if}}{{/if}}", {}), ("{{#if a b}}{{/if}}", {"a": 1}), ("{{x y}}", {"x": 1}), ("{{#x y}}{{/x}}", {"x": 1}), ("{{x.}}", {}), ("{{(x}}", {}),
    ("{{#with}}{{/with}}", {}), ("{{{x}}", {}), ("{{> none}}", {}), ("{{x \"}}", {}), ("{{#each l as |}}{{/each}}", LIST),
]
BLOCKS = [
    ("{{#> lay}}body {{x}}{{/lay}}", {"x": 1}), ("{{#> lay}}{{/lay}}", {"x": 1}), ("{{#> none}}instead {{x}}{{/none}}", {"x": 1}), ("{{#> none o}}{{x}}{{../x}}{{/none}}", {"x": 1, "o": {"x": 2}}), ("{{#> none x=3}}{{x}}{{/none}}", {"x": 1}),
    ("{{#> lay o}}{{x}}{{../x}}{{/lay}}", {"x": 1, "o": {"x": 2}}), ("{{#> lay x=4}}{{x}}{{/lay}}", {"x": 1}), ("{{#> layo}}{{x}}{{../x}}{{/layo}}", {"x": 1, "o": {"x": 2}}), ("{{#> layx}}{{x}}{{y}}{{/layx}}", {"x": 1, "y": 2}),
    ("{{#each l}}{{#> lay}}{{n}}{{../t}}{{@index}}{{/lay}};{{/each}}", LIST), ("{{#> layeach}}{{n}}{{@index}}{{../t}}{{/layeach}}", LIST), ("{{#each l as |i k|}}{{#> lay}}{{i.n}}{{k}}{{/lay}}{{/each}}", LIST),
    ("{{#> lay}}a{{#> lay}}b{{x}}{{/lay}}c{{/lay}}", {"x": 1}), ("{{#> outer}}deep{{x}}{{/outer}}", {"x": 1}), ("{{#> twice}}{{x}}{{/twice}}", {"x": 1}), ("{{> maybe}}|{{#> maybe}}b{{/maybe}}", {}), ("{{> lay}}", {}),
    ("{{#> \"lay\"}}q{{/lay}}", {}), ("a\n{{#> lay}}\n  b\n{{/lay}}\nc\n", {}), ("  {{#> lines}}\n  b {{x}}\n  {{/lines}}\nc\n", {"x": 1}), ("{{#> lay~}} b {{~/lay}}", {}), ("{{#> lay}}x{{/p}}", {}), ("{{#> lay}}x", {}), ("{{#> lay}}a{{else}}b{{/lay}}", {}),
    ("{{#*inline \"i\"}}in {{x}}{{/inline}}{{> i}}{{> i x=2}}", {"x": 1}), ("{{> i}}{{#*inline \"i\"}}later{{/inline}}", {}), ("{{#if x}}{{#*inline \"i\"}}a{{/inline}}{{> i}}{{/if}}{{> i}}", {"x": 1}), ("{{#*inline \"p\"}}mine{{/inline}}{{> p}}", {"x": 1}),
    ("{{#*inline \"i\"}}a{{/inline}}{{#if x}}{{#*inline \"i\"}}b{{/inline}}{{> i}}{{/if}}{{> i}}", {"x": 1}), ("{{#> slots}}{{#*inline \"nav\"}}NAV {{x}}{{/inline}}{{#*inline \"foot\"}}F{{/inline}}rest{{/slots}}", {"x": 1}),
    ("{{#each l}}{{#*inline \"i\"}}{{n}}{{../t}}{{/inline}}{{> i}}{{#> i}}x{{/i}}{{/each}}", LIST), ("{{#*inline \"i\"}}[{{> @partial-block}}]{{/inline}}{{#> i}}{{x}}{{/i}}", {"x": 1}), ("a\n  {{#*inline \"i\"}}\n  b\n  {{/inline}}\nc\n{{> i}}\n", {}),
    ("a\n  {{#*inline \"i\"}}\nb\nd\n  {{/inline}}\n  {{> i}}\nc", {}), ("{{#*inline \"i\"}}a", {}), ("{{#*other \"i\"}}a{{/other}}", {}), ("{{#*inline \"i\"}}{{#if @partial-block}}y{{else}}n{{/if}}{{/inline}}{{> i}}{{#> i}}b{{/i}}", {}),
    ("{{{{raw}}}}{{x}} {{{{/raw}}}}{{x}}", {"x": 1}), ("a\n{{{{raw}}}}\n {{x}}\n{{{{/raw}}}}\nb", {"x": 1}), ("{{{{raw}}}}{{{{in}}}}{{x}}{{{{/in}}}}{{{{/raw}}}}", {"x": 1}), ("{{{{raw}}}}{{{{/raw}}}}x", {}), ("{{{{ raw }}}}\\{{x}}{{{{/raw}}}}", {}),
    ("{{{{raw}}}}<b>{{{y}}}{{#if}}{{{{/raw}}}}", {}), ("{{{{raw}}}}x", {}), ("{{{{raw}}}}x{{{{/war}}}}", {}), ("{{{{raw}}", {}), ("{{{{/raw}}}}", {}), ("a {{{{raw}}}} b {{{{/raw}}}} c", {}),
]
PARTS = {"lay": "<{{> @partial-block}}>", "layo": "<{{> @partial-block o}}>", "layx": "<{{> @partial-block x=9}}>", "layeach": "{{#each l}}({{> @partial-block}}){{/each}}", "outer": "[{{#> lay}}in {{> @partial-block}}{{/lay}}]",
         "twice": "{{> @partial-block}},{{> @partial-block}}", "maybe": "{{#if @partial-block}}{{> @partial-block}}{{else}}none{{/if}}", "lines": "1\n  {{> @partial-block}}\n2\n", "slots": "{{> nav}}-{{#> foot}}F0{{/foot}}-{{#> side}}S0{{/side}}-{{> @partial-block}}",
         "p": "({{x}})", "q": "{{n}}:{{../t}};", "r": "{{#each l}}{{> q}}{{/each}}", "s": "a\n  b {{x}}\n", "t/u": "slash", "v": "{{> s}}-", "w": "{{@index}}{{@root.t}}", "y": "{{n}}{{#each c}}({{> y}}){{/each}}"}
WITH_PARTIALS = [
    ("{{> p}}", {"x": "&"}), ("{{>p}}{{> p }}", {"x": 1}), ("{{> p x=2}}", {"x": 1}), ("{{> p x=y}}", {"y": 3}), ("{{> p o}}", {"o": {"x": 4}}), ("{{> p o x=5}}", {"o": {"x": 4}}), ("{{> p o.i}}", {"o": {"i": {"x": 6}}}),
    ("{{> \"p\"}}{{> t/u}}", {"x": 1}), ("{{> r}}", LIST), ("{{#each l}}{{> q}}{{/each}}", LIST), ("{{#each l}}{{> w}}{{/each}}", LIST), ("a\n  {{> s}}\nb", {"x": 1}), ("a\n{{> s}}\nb", {"x": 1}), ("a\n  {{> s}} \n\nb", {"x": "1\n2"}),
    ("  {{> v}}\n", {"x": 1}), ("    {{> v}}\nend", {"x": "m\nn"}), ("x {{> s}} y", {"x": 1}), ("{{> s}}{{> s}}", {"x": 1}), ("  {{> s}}{{> s}}\n", {"x": 1}), ("{{~> s ~}}", {"x": 1}), ("a {{~> p ~}} b", {"x": 1}), ("{{#if x}}\n  {{> s}}\n{{/if}}\n", {"x": 1}),
    ("{{> y}}", {"n": 1, "c": [{"n": 2, "c": [{"n": 3, "c": []}]}, {"n": 4, "c": []}]}), ("{{#with o}}{{> p}}{{/with}}", {"o": {"x": 1}}), ("{{> p none}}", {"x": 1}), ("{{> p (lookup o 'k')}}", {"o": {"k": {"x": 8}}}), ("\t{{> s}}\r\nz", {"x": 1}),
    *BLOCKS, ("{{> p x=\"a b\"}}{{> p x=1.5}}{{> p x=true}}{{> p x=null}}", {"x": 1}), ("{{#each l as |i|}}{{> p x=i.n}}{{/each}}", LIST), ("  {{> none}}", {}), ("{{> p}}{{{{raw}}}}", {}),
]


def cases():
    for value, form in itertools.product(VALUES, FORMS):
        yield {"template": form, "data": {"x": value}}
    for template, data in ONE:
        yield {"template": template, "data": data}
        if not template.startswith("{{"):  # of numbers alone it makes the sum, when nothing is escaped
            yield {"template": template, "data": data, "part": "text"}
    for template, data in WITH_PARTIALS:
        yield {"template": template, "data": data, "partials": PARTS}


def answers(command, lines):
    out = subprocess.run(command, input="".join(json.dumps(c) + "\n" for c in lines), check=True, capture_output=True, text=True, timeout=120).stdout
    return [json.loads(line) for line in out.splitlines()]


def test_handlebars_js_says_the_same():
    if not HANDLEBARS.exists():
        pytest.fail("no handlebars.js: script/bootstrap test installs it")
    table = list(cases())
    assert len(table) >= 300
    theirs = answers(["node", "-e", PEER, str(HANDLEBARS)], table)
    ours = answers([TOOL], table)
    assert len(theirs) == len(ours) == len(table)
    wrong = [(c, o, t) for c, o, t in zip(table, ours, theirs) if o != t and not (isinstance(o, dict) and isinstance(t, dict))]
    assert not wrong, "\n".join(f"{c['template']!r} with {c['data']!r}: {o!r}, handlebars.js {t!r}" for c, o, t in wrong[:20]) + f"\n{len(wrong)} in all"
