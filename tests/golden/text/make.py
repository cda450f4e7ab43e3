#!/usr/bin/env python3
"""Makes the golden of core/text's templates with jinja2 (the oracle); make_tokenizers.py makes the others.

    pip install jinja2
    python make.py            # writes jinja.json beside this file
    python make.py case       # prints core/text/unicode_case.inc
"""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def write(name, value):
    with open(os.path.join(HERE, name), "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, separators=(",", ":"), indent=None)
        f.write("\n")


# ---- full case mappings ----

def print_case_table():
    show = lambda s: "{" + ", ".join("0x%04X" % ord(c) for c in s) + "}"
    for cp in range(0x110000):
        c = chr(cp)
        forms = c.lower(), c.upper(), c.title()
        if max(map(len, forms)) > 1:
            print("\t{0x%04X, {%s}}," % (cp, ", ".join(map(show, forms))))


# ---- templates ----

SMOLVLM = ("<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}{% if message['content'][0]['type'] == 'image' %}"
           "{{':'}}{% else %}{{': '}}{% endif %}{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
           "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
           "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}")
CHATML = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}"
          "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
ALTERNATING = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- set first = messages[0]['content'] + '\\n\\n' -%}
    {%- set rest = messages[1:] -%}
{%- else -%}
    {%- set first = "" -%}
    {%- set rest = messages -%}
{%- endif -%}
{%- for message in rest -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("roles must alternate") }}
    {%- endif -%}
    {{ '<turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' + (first if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}{{ '<image>' }}{%- elif item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("content") }}
    {%- endif -%}
    {{ '<end>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<turn>model\\n' }}{%- endif -%}
"""
THINKING = """{%- set ns = namespace(last=-1, found=false) %}
{%- for m in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if not ns.found and m.role == "user" and not (m.content.startswith('<r>') and m.content.endswith('</r>')) %}
        {%- set ns.found = true %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for m in messages %}
    {%- set content = m.content if m.content is string else '' %}
    {%- if m.role == "assistant" and '</think>' in content %}
        {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- if loop.index0 > ns.last %}{{- '[' + thought.strip('\\n') + ']' }}{%- endif %}
    {%- endif %}
    {{- '<' + m.role + '>' + content + '</' + m.role + '>\\n' }}
{%- endfor %}
{%- if enable_thinking is defined and enable_thinking is false %}
    {{- '<think>\\n\\n</think>\\n\\n' }}
{%- endif %}
"""
MACROS = """{%- macro show(x, depth=0, name='?') -%}
{%- if x is mapping -%}{{ name }}{ {%- for k, v in x | dictsort %}{{ k }}:{{ show(v, depth + 1, name=k) }}{{ "," if not loop.last }}{% endfor -%} }
{%- elif x is string -%}{{ depth }}'{{ x }}'
{%- elif x is sequence -%}[{% for i in x %}{{ show(i, depth=depth + 1) }};{% endfor %}]
{%- else -%}{{ x }}
{%- endif -%}
{%- endmacro -%}
{{ show(tree) }}|{{ show('s') }}"""

CHATS = [
    [{"role": "user", "content": "ΑΒΓ"}],
    [{"role": "system", "content": "ΔΕΖ"}, {"role": "user", "content": " ΗΘ \n"}, {"role": "assistant", "content": "ΙΚ"},
     {"role": "user", "content": "Λ\nΜ"}],
    [{"role": "user", "content": "Α"}, {"role": "assistant", "content": "<think>\nΒ\n</think>\n\nΓ"}, {"role": "user", "content": "Δ"},
     {"role": "assistant", "content": "<think>Ε</think>Ζ"}],
]
PARTS = [
    [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "ΑΒ"}]}],
    [{"role": "user", "content": [{"type": "text", "text": "ΑΒ"}, {"type": "image"}, {"type": "text", "text": "Γ"}]},
     {"role": "assistant", "content": [{"type": "text", "text": "Δ"}]}, {"role": "user", "content": [{"type": "text", "text": ""}]}],
]
DATA = {"s": "hELLO wORLD", "u": "ünïcödé ß İ", "l": [3, 1, 2], "names": ["b", "A", "c", "B"], "d": {"b": 1, "A": [1, None], "items": 2},
        "n": None, "t": True, "f": 1.5, "i": 7, "e": "", "el": [], "quote": "it's \"x\"\n\t\\ \u0001 é \u00a0",
        "users": [{"name": "x", "age": 3, "on": True}, {"name": "y", "age": 1}, {"name": "z", "age": 2, "on": False}], "words": "  a b\t c\n"}

EXPRESSIONS = """
1 + 2 * 3 - 4|2 ** 3 ** 2|7 / 2|-7 // 2|-7 % 3|7 % -3|2 ** -1|10 // 3|7.5 // 2|-1|abs|(1, 2)|(1,)|()|[1,'a',none]|{'a': 1, 'b': [true]}
1.0|1e16|1e-05|0.1 + 0.2|1e22|123456789.125|1e15|-0.0|100000.0|1/3|none|true|1 ~ 2 ~ 'x'|'a' 'b' "c"|'%s-%d' % ('x', 3)|'100%%' % ()
s|capitalize|s|upper|s|lower|s|title|u|upper|u|capitalize|u|lower|words|trim|'xxaxx'|trim('x')|s|length|l|length|none|default('d')
zz|default('d')|''|default('d')|''|default('d', true)|zz is defined|s is defined|n is none|zz is undefined|l|first|l|last|el|first
l|join('-')|users|map(attribute='name')|join(',')|names|sort|join|names|sort(case_sensitive=true)|join|l|sort(reverse=true)
(d)|dictsort|(d)|items|list|d.items()|list|d['items']|d.get('zz')|d.get('zz', 5)|d.keys()|list|'A' in d|'q' not in d|2 in l
users|selectattr('on')|map(attribute='name')|list|users|rejectattr('on', 'defined')|list|length|users|selectattr('age', 'gt', 1)|list|length
users|sort(attribute='age')|map(attribute='name')|join|l|sum|users|sum(attribute='age')|l|min|l|max|names|unique|list|l|reverse|list
'abc'|reverse|'abc'[1]|'abc'[-1]|'abc'[::-1]|'abcdef'[1:4]|'abcdef'[-3:]|'abcdef'[::2]|l[1:]|l[-1]|l[9]|l[::-1]|'äöü'[1:]|'äöü'[::-1]
s.split()|words.split()|'a,b,,c'.split(',')|'a,b,c'.split(',', 1)|'a,b,c'.rsplit(',', 1)|'a\\nb\\r\\nc'.splitlines()|s.startswith('h')
s.endswith(('x', 'D'))|s.replace('L', '_')|'aaa'.replace('a', 'b', 2)|'abc'.replace('', '-')|s.find('O')|s.find('zz')|'banana'.count('an')
'-'.join(['a', 'b'])|'  x '.strip()|'xxaxx'.lstrip('x')|'xxaxx'.rstrip('x')|'prefix-a'.removeprefix('prefix-')|'12'.isdigit()|s.title()
quote|tojson|(d)|tojson|(d)|tojson(indent=2)|users|tojson(indent=4)|[]|tojson|{}|tojson(indent=2)|1.0|tojson|1e-7|tojson|[1, none, true]|tojson
(d)|tojson(separators=(',', ':'))|{'b': 1, 'a': 2}|tojson(sort_keys=true)|[quote]|quote|[s, 'it\\'s']|'a' if t else 'b'|'a' if e|not t or i == 7
1 < 2 < 3|1 < 2 > 3|1 == 1.0|true == 1|none == false|'a' < 'b'|[1, 2] < [1, 3]|[1] == [1]|{'a': 1} == {'a': 1}|'a' != 'b'|not e
i is odd|i is even|i is divisibleby 7|i is divisibleby(2)|i is number|t is number|t is integer|f is float|s is string|d is mapping
d is sequence|d is iterable|s is iterable|i is iterable|l is sequence|t is boolean|t is true|e is false|i is eq 7|i is sameas 7|s is not none
not zz is defined|'a' is in ['a', 'b']|s is lower|'abc' is lower|'ABC' is upper|range(5)|list|range(1, 10, 3)|list|range(5, 0, -2)|list
'3'|int|'x'|int|'x'|int(9)|3.9|int|'3.5'|float|2.5|round|3.14159|round(2)|10|round|2.4|round(0, 'ceil')|'<b>&'|e|'a\\nb'|indent|'a\\nb'|indent(2, true)
l + [4]|'ab' * 3|[0] * 2|dict(a=1, b=2)|loop is defined|'a' ~ none ~ 1.5|l|string|l|map('string')|list|names|map('upper')|list|names|map('default', 'x')|list
'\\u00e9\\x41\\t'|'tab\\there'|'\\q'|users.0.name|users[0]['name']|users[0].zz|d.zz|s.zz|(i).zz|'a'.foo is defined|1_000|'%5s' is string|(1 if false) is undefined
l|select('odd')|list|l|reject('gt', 1)|list|[0, 1, '']|select|list|names|list|'abc'|list|(d)|list|[[1, 2], [3]]|map('join', '-')|list|'x'|length|(d)|length|zz|length
users|map(attribute='on', default='?')|list|users|map(attribute='on')|list|length|'a'|default|[1,2,3]|join(', ')|('a', 'b')|join|"a'b"|[none]|join|{1: 'x'}[1]|{'a': 1}.a
-3 ** 2|--3|+3|2 - -2|3 - 2 - 1|2 * 3 % 4|'a' ~ 1 + 2 if false else 'z'|not true == false|1 in [1] == true|'b' in 'abc'|'' in 'abc'|[] + [1]|1 if 0 else 2 if 0 else 3
""".strip()

STATEMENTS = [
    "A  {% if true %}\nB\n  {% endif %}\nC\n", "  {{ 'x' }}\n", "a {%- if true -%} b {%- endif -%} c", "a\n  {%+ if true %}x{% endif +%}\nb",
    "{# c #}x{#- d -#} y\n  {# line #}\nz", "{% raw %}{{ not }} {% if %}{% endraw %}!", "  {% raw -%}  {{x}}  {%- endraw %}\n !", "x\n\n", "\n",
    "{% for x in l %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}", "{% for x in el %}x{% else %}none{% endfor %}",
    "{% for x in l if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}", "{% for x in 'aé' %}[{{ x }}]{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for x in l %}{% if loop.index == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}", "{% set ns = namespace(a=0) %}{% for i in l %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}",
    "{% set ns = namespace() %}{% set ns.q = 'v' %}{{ ns.q }}{{ ns.zz is defined }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set x %}a{{ i }}b{% endset %}[{{ x }}]",
    "{% set x | upper | trim %} ab {% endset %}[{{ x }}]", "{% if zz %}1{% elif i == 7 %}2{% else %}3{% endif %}", "{% if false %}1{% elif false %}2{% elif none %}3{% else %}4{% endif %}",
    "{% filter upper %}a{{ s }}{% endfilter %}", "{% macro m(a, b='d') %}{{ a }}-{{ b }}{% endmacro %}{{ m('x') }}{{ m(b=1, a=2) }}{{ m() }}",
    "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}in {{ i }}{% endcall %}", "{% macro m(x) %}{{ caller(x ~ '!') }}{% endmacro %}{% call(y) m('q') %}[{{ y }}]{% endcall %}",
    "{% macro outer() %}{{ i }}{{ inner() }}{% endmacro %}{% macro inner() %}!{% endmacro %}{{ outer() }}", "{% set i = 1 %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}",
    "{% for a in l %}{% for b in l %}{{ loop.index }}{% endfor %}{{ loop.index }};{% endfor %}", "{{ {'a': {'b': 1}}.a.b }}{{ {'x': {}} }}", "{%- for x in l -%}\n  {{- x -}}\n{%- endfor -%}",
    "{% for i in range(3) %}{{ i }}{% endfor %}{{ i }}", "{{ 1 }}\n{{ 2 }}\n  {% if 1 %}\n  x\n  {% endif %}\n", "{% generation %}g{% endgeneration %}", "a\r\nb\rc\n\r\n",
    "{{ '{{' }}{{ '}}' }}{{ '%}' }}", "{% if l[0] == 3 and (d.b == 1 or zz) %}y{% endif %}", "{% for x in l[1:] %}{{ x }}{% endfor %}", "{{ x if x is defined else 'no' }}",
    "{% for u in users %}{% set q = u.name %}{% if u.on is defined and u.on %}{{ q }}{% endif %}{% endfor %}", "\t {% if 1 %}a{% endif %} \n \t{% if 1 %}\nb{% endif %}", "{{ names[0] }}{{names[-1]}}",
]

ERRORS = [
    "{{ zz.y }}", "{{ zz['y'] }}", "{{ 1 + 'a' }}", "{{ 1 / 0 }}", "{{ 'a' < 1 }}", "{{ raise_exception('no') }}", "{% for x in 5 %}{% endfor %}", "{{ 5|length }}",
    "{{ s() }}", "{% set a, b = [1] %}", "{{ 'a' in 5 }}", "{{ zz.y is defined }}", "{{ d.zz.y }}", "{{ range(10**9)|length }}", "{{ 1 + 2 ~ 3 }}", "{% set d.b = 5 %}",
    "{{ zz|int + none }}", "{{ -s }}", "{{ 5[1:] }}", "{{ 'x'.join([1]) }}", "{{ [3, 'a']|sort }}",
]


def environment():
    import jinja2
    import jinja2.ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(jinja2.ext.Extension):
        tags = {"generation"}

        def parse(self, parser):
            next(parser.stream)
            return parser.parse_statements(["name:endgeneration"], drop_needle=True)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    return env


def split_expressions():
    """'|' separates expressions where nothing else could be meant: an alternative is a filter of what stands before."""
    import jinja2
    env = environment()
    filters = set(env.filters)
    for line in EXPRESSIONS.split("\n"):
        parts, current, depth, quote = [], "", 0, None
        for c in line:
            if quote:
                quote = None if c == quote and not current.endswith("\\") else quote
            elif c in "'\"":
                quote = c
            elif c in "([{":
                depth += 1
            elif c in ")]}":
                depth -= 1
            if c == "|" and not quote and depth == 0:
                parts.append(current)
                current = ""
            else:
                current += c
        parts.append(current)
        whole = parts[0]
        for part in parts[1:]:
            if part.split("(")[0] in filters:
                whole += "|" + part
            else:
                yield whole
                whole = part
        yield whole


def make_templates():
    env = environment()
    cases = []

    def add(template, variables, greek=False):
        case = {"template": template, "globals": variables}
        if greek:
            case["greek"] = True  # whatever is Greek came from the variables, all else from the template
        try:
            case["expect"] = env.from_string(template).render(**variables)
        except Exception as e:
            case["error"] = type(e).__name__
        cases.append(case)

    for template in (SMOLVLM, CHATML, ALTERNATING, THINKING):
        for chat in PARTS if template is SMOLVLM else CHATS + (PARTS if template is ALTERNATING else []):
            for prompt in (False, True):
                variables = {"messages": chat, "add_generation_prompt": prompt, "bos_token": "<s>", "enable_thinking": prompt}
                add(template, variables, greek=template is not THINKING)
    add(MACROS, {"tree": {"b": [1, "x", {"q": None}], "a": {"z": 2}}})
    for e in split_expressions():
        add("{{ " + e + " }}", DATA)
    for t in STATEMENTS + ERRORS:
        add(t, DATA)
    for c in cases:  # the variables that most share are written once
        if c["globals"] is DATA:
            del c["globals"]
    bad = [c for c in cases if "error" in c and c["template"] not in ERRORS]
    for c in bad:
        print("error:", c["template"][:100], c["error"], file=sys.stderr)
    write("jinja.json", {"globals": DATA, "cases": cases})


if __name__ == "__main__":
    if sys.argv[1:] == ["case"]:
        print_case_table()
    else:
        make_templates()
