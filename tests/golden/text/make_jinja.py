#!/usr/bin/env python3
"""Makes jinja.json, the goldens of chat templates: each template rendered by jinja2, compiled as transformers does it.

    pip install transformers jinja2
    python make_jinja.py      # writes jinja.json beside this file

A case is a template and its variables (or their number in the lists beside), and the text expected or the error. The
templates are written for these tests; jinja_families.py has those that are shaped like the models' own.
"""
import json
import os
import sys

from jinja_families import families

HERE = os.path.dirname(os.path.abspath(__file__))


def write(name, value):
    with open(os.path.join(HERE, name), "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, separators=(",", ":"), indent=None)
        f.write("\n")


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
        "users": [{"name": "x", "age": 3, "on": True}, {"name": "y", "age": 1}, {"name": "z", "age": 2, "on": False}], "words": "  a b\t c\n",
        "tree": [{"v": 1, "kids": [{"v": 2, "kids": []}, {"v": 3, "kids": [{"v": 4, "kids": []}]}]}],
        "messages": [{"role": "user", "content": "Hi"}, {"role": "user", "content": [{"type": "text", "text": "q"}]}, {"role": "assistant", "content": "Yo"}]}

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

# Every filter, test, method and function once more alone, one expression a line.
FEATURES = r"""
'one two three four'|truncate(9)
'one two three four'|truncate(9, true)
'one two three four'|truncate(9, false, '…', 0)
'one two'|truncate(6)
'foo bar baz qux'|truncate(11, leeway=0)
u|truncate(3, true, '', 0)
'a b_c  d-e é1 ½'|wordcount
e|wordcount
range(7)|slice(3)|list
range(7)|slice(3, 'x')|list
[1]|slice(3, 0)|list
l|batch(2)|list
l|batch(2, '-')|list
range(4)|batch(2)|map('join', '+')|join(' ')
users|groupby('age')
users|groupby('on', default=false)
[{'k': 'b', 'v': 1}, {'k': 'B', 'v': 2}, {'k': 'a', 'v': 3}]|groupby('k')
[{'k': 'b', 'v': 1}, {'k': 'B', 'v': 2}, {'k': 'a', 'v': 3}]|groupby('k', case_sensitive=true)
(users|groupby('age'))[0].grouper
(users|groupby('age'))[0].list|map(attribute='name')|join
'x'|center(5) ~ '|'
'%s-%d'|format('a', 3)
'%(a)s'|format(a='b')
d|attr('keys') is callable
d|attr('b') is defined
s|attr('upper') is defined
'<b>'|escape is escaped
'<b>'|safe is escaped
'<b>' is escaped
'<b>'|safe ~ '<i>'
('<b>'|safe) + '<i>'
'<i>' + ('<b>'|safe)
('<b>'|e) * 2
['<', '<'|safe]|join('&'|e)
('&'|e).join(['<', '>'])
('<%s>'|safe) % '<x>'
'a<b'|e|upper
['<'|safe]
'ff'|int(0, 16)
'0x1F'|int(base=16)
'1_000'|int
' 42 '|int
'4.9'|int
true|int
none|int
none|int(7)
'1e3'|float
'nan'|float
'x'|float(2.5)
15|round(-1)
25|round(-1)
1234.5|round(-2)
2.675|round(2)
1.25|round(1)
-7.5|round
7.1|round(0, 'ceil')
7.15|round(1, 'floor')
d|tojson(ensure_ascii=true)
u|tojson(ensure_ascii=true)
'😀'|tojson(ensure_ascii=true)
d|tojson(indent='\t')
d|tojson(2)
d|tojson(indent=0)
l|tojson(indent=2, separators=(' ,', ' :'))
{1: 'a', none: 2, true: 3}|tojson
{'é': [], 'ß': {}}|tojson(sort_keys=true, indent=1)
[0.1, 1e100, -0.0]|tojson
users|sort(attribute='age,name')|map(attribute='name')|join
users|sort(attribute='age', reverse=true)|map(attribute='name')|join
users|map(attribute='on', default='?')|join(',')
users|join(', ', attribute='name')
users|sum(attribute='age', start=10)
users|min(attribute='age')
users|max(attribute='name')
d|dictsort(case_sensitive=true)
{'a': 2, 'b': 1}|dictsort(by='value')
{'a': 2, 'b': 1}|dictsort(reverse=true)
['a', 'A', 'b']|unique|join
['a', 'A', 'b']|unique(case_sensitive=true)|join
users|unique(attribute='age')|map(attribute='name')|join
(1, 2)|reverse|list
d|items|list
zz|items|list
'a\n\nb\n'|indent(2)
'a\n\nb'|indent(2, true, true)
'a\nb'|indent('> ')
'it is a-b (c)[d]'|title
'ὈΔΥΣΣΕΎΣ ΣΑΣ'|lower
'ὈΔΥΣΣΕΎΣ'.capitalize()
'ǆ'|title
'ŉ'|upper
'a-b c'.title()
'a,b,c'.partition(',')
'a,b,c'.rpartition(',')
'abc'.partition('x')
'abc'.rpartition('x')
'banana'.rfind('a')
'banana'.find('a', 2)
'banana'.find('a', 2, 3)
'banana'.index('n')
'banana'.rindex('n')
'banana'.count('a', 2)
'banana'.startswith('n', 2)
'banana'.endswith(('x', 'na'))
'-7'.zfill(4)
'7'.rjust(3, '*')
'7'.ljust(3) ~ '|'
'7'.center(4, '.')
'a b  c'.rsplit(none, 1)
' a b  c '.split(none, 1)
'a1'.isalnum()
'²'.isdigit()
'²'.isdecimal()
'٣'.isdecimal()
'aB'.islower()
'ª'.islower()
'AB1'.isupper()
'é'.isascii()
'a\n'.isprintable()
'{} {}'.format('a', 1)
'{1}{0}'.format('a', 'b')
'{a[0]}{b.x}'.format(a=[1], b={'x': 2})
'{:>6}|{:<6}|{:^6}|'.format('a', 'b', 'c')
'{:06.2f}|{:+d}|{:,}|{:x}|{:#x}|{:e}|{:%}'.format(3.14159, 5, 1234567, 255, 255, 12345.678, 0.25)
'{:*^9}'.format('mid')
'{{}}{!r}'.format('q')
'%5d|%-5d|%05d|%+d|%x|%o|%e|%g|%c|%%' % (42, 42, 42, 42, 255, 8, 1.5, 0.0001, 'z')
'%.3s|%10.2f|%r' % ('abcdef', 3.14159, 'x')
'%(b)s %(A)s' % d
'%s' % [1, 2]
[1, 2, 1].count(1)
['a', 'b'].index('b')
d.copy()
d.get('b', 1)
'b' in d.keys()
d.keys()
d.values()
d.items()
{'a': 1}.items() == {'a': 1}.items()
d.keys()|length
d.items() is sequence
range(3)
range(0, 10, 3)
range(5)[1:3]
range(5)[-1]
range(3) == range(0, 3, 1)
3 in range(4)
range(4)|tojson if false else 'x'
dict(d, z=1)
dict(**{'a': 1})
dict([('a', 1)]) if false else 'no'
namespace(a=1).a
namespace({'a': 2}, b=3).b
l|map('abs') is sequence
l|map('abs') is iterable
'y' if l|select('gt', 100) else 'n'
'y' if l|select('gt', 100)|list else 'n'
2 in l|map('abs')
l|map('abs')|first
users|selectattr('age', 'in', [1, 2])|map(attribute='name')|list
users|rejectattr('name', 'eq', 'x')|list|length
[1, 'a', none]|select('string')|list
[1, 2, 3, 4]|reject('divisibleby', 2)|list
l|select('ge', 2)|list
l|select('lessthan', 2)|list
[none, 1]|select('sameas', none)|list
'upper' is filter
'nosuch' is filter
'odd' is test
3.0 is odd
4.0 is divisibleby(2)
raise_exception is callable
zz is callable
5 is ge 5
5 is ne 4
'a' is lt 'b'
none is none
1.5 is integer
'x' is in 'xyz'
1e3 % -1
7.5 % -2
-7.5 // 2
2 ** -1
true + 1
0x1F + 0b11 + 0o17
1_000_000
'a' if zz is defined else 'b'
(1, 2) + (3,)
[[1, 2], [3, 4]]|map('first')|list
messages|map(attribute='content')|select('string')|list
messages|selectattr('content', 'string')|map(attribute='role')|join('/')
"""

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

STATEMENTS += [
    "{% with a = 1, b = i %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% set a = 5 %}{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% with %}{% set q = 1 %}{% endwith %}{{ q }}",
    "{% for x in l %}{{ loop.cycle('odd', 'even') }}{% endfor %}", "{% for u in users %}{% if loop.changed(u.age) %}<{{ u.age }}>{% endif %}{% endfor %}",
    "{% for n in tree recursive %}{{ loop.depth }}{{ n.v }}{% if n.kids %}[{{ loop(n.kids) }}]{% endif %}{{ ',' if not loop.last }}{% endfor %}",
    "{% for n in tree if n.v != 2 recursive %}{{ loop.depth0 }}{{ n.v }}{{ loop(n.kids) }}{% else %}.{% endfor %}",
    "{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1) }}{{ m(1, 2, 3) }}{{ m(1, z=2) }}{{ m(*l) }}{{ m(**{'a': 1, 'b': 2}) }}",
    "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(1, *[2]) }}{{ m(1, **{'b': 3}) }}{{ m(b=1, *[4]) }}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% set (a, (b, c)) = (1, (2, 3)) %}{{ a }}{{ b }}{{ c }}",
    "{% set j = joiner('; ') %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}", "{% set j = joiner() %}{{ j() }}a{{ j() }}b",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set q = c.reset() %}{{ c.next() }}",
    "{% for x in l %}{% if x == 3 %}{% continue %}{% endif %}{{ x }}{% else %}none{% endfor %}", "{% for x in l %}{% continue %}{% else %}none whole{% endfor %}",
    "{% for x in l %}{% break %}{% else %}broken{% endfor %}", "{% for x in l|map('string') %}{{ loop.length }}{{ loop.last }}{{ x }}{% endfor %}",
    "{% set g = l|map('string') %}{{ g|join }}{{ g|join }}!", "{% set g = l|select %}{{ g|first }}{{ g|list }}", "{% for c in 'a<'|e %}{{ c }}.{% endfor %}",
    "{% for b in range(5)|batch(2, 0) %}{{ b|join }};{% endfor %}", "{% for k, g in users|groupby('age') %}{{ k }}:{{ g|length }} {% endfor %}",
    "{% generation %} {% if true %}a{% endif %} {% endgeneration %}", "{%- generation -%} x {%- endgeneration -%} y", "{% for x in l %}{{ loop }} {% endfor %}",
    "{% set ns = namespace(n=[]) %}{% for x in l %}{% set ns.n = ns.n + [x] %}{% endfor %}{{ ns.n }}", "{% set ns = namespace() %}{% set ns.t %}b{{ i }}{% endset %}{{ ns.t }}",
    "{% macro a() %}{{ caller('x', y=2) }}{% endmacro %}{% call(p, y, z=3) a() %}{{ p }}{{ y }}{{ z }}{% endcall %}", "{% macro a() %}{{ caller is defined }}{% endmacro %}{{ a() }}",
    "{% filter indent(2) | upper %}a\nb{% endfilter %}", "{% set x | indent(1, true) %}a\nb{% endset %}{{ x }}",
]

ERRORS = [
    "{{ l|map('upper')|length }}", "{{ l|select|last }}", "{{ (l|map('abs'))|tojson }}", "{{ d.items()|tojson }}", "{{ range(100001) }}", "{{ zz|int }}", "{{ 'a'.index('b') }}",
    "{{ {[1]: 2} }}", "{{ [1] in d }}", "{{ d.get([]) }}", "{{ [[1]]|unique|list }}", "{{ '%d' % 'x' }}", "{{ '%s %s' % 'x' }}", "{{ '%s' % (1, 2) }}", "{{ '{}'.format() }}",
    "{{ '{a}'.format(b=1) }}", "{{ '{} {0}'.format(1) }}", "{{ '{:d}'.format('x') }}", "{{ '{'.format() }}", "{{ 'x'|truncate(1) }}", "{{ l|slice(0)|list }}", "{{ l|batch }}",
    "{{ namespace(_a=1) }}", "{% set ns = namespace() %}{% set ns._b = 1 %}", "{% for x in l %}{{ loop(l) }}{% endfor %}", "{% for x in l %}{{ loop.cycle() }}{% endfor %}", "{{ cycler() }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=1) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=1) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{% call m(1) %}{% endcall %}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}", "{{ x is }}", "{{ 1 is defined is none }}",
    "{{ s|dictsort }}", "{{ d|dictsort(by='q') }}", "{{ 2.5|round(0, 'up') }}", "{{ ['a']|sum }}", "{{ users|map(attribute='zz.y')|list }}", "{{ none|length }}", "{{ none|join }}",
    "{{ zz.y }}", "{{ zz['y'] }}", "{{ 1 + 'a' }}", "{{ 1 / 0 }}", "{{ 'a' < 1 }}", "{{ raise_exception('no') }}", "{% for x in 5 %}{% endfor %}", "{{ 5|length }}",
    "{{ s() }}", "{% set a, b = [1] %}", "{{ 'a' in 5 }}", "{{ zz.y is defined }}", "{{ d.zz.y }}", "{{ range(10**9)|length }}", "{{ 1 + 2 ~ 3 }}", "{% set d.b = 5 %}",
    "{{ zz|int + none }}", "{{ -s }}", "{{ i[1:] }}", "{{ 'x'.join([1]) }}", "{{ [3, 'a']|sort }}",
]


def compile_template(source):
    from transformers.utils.chat_template_utils import _cached_compile_jinja_template
    return _cached_compile_jinja_template(source)


def split_expressions():
    """'|' separates expressions where nothing else could be meant: an alternative is a filter of what stands before."""
    from jinja2.filters import FILTERS as filters
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
    cases = []

    def add(template, variables, greek=False):
        case = {"template": template, "globals": variables}
        if greek:
            case["greek"] = True  # whatever is Greek came from the variables, all else from the template
        try:
            case["expect"] = compile_template(template).render(**variables)
        except Exception as e:
            case["error"] = "%s: %s" % (type(e).__name__, e)
        cases.append(case)

    for template in (SMOLVLM, CHATML, ALTERNATING, THINKING):
        for chat in PARTS if template is SMOLVLM else CHATS + (PARTS if template is ALTERNATING else []):
            for prompt in (False, True):
                variables = {"messages": chat, "add_generation_prompt": prompt, "bos_token": "<s>", "enable_thinking": prompt}
                add(template, variables, greek=template is not THINKING)
    add(MACROS, {"tree": {"b": [1, "x", {"q": None}], "a": {"z": 2}}})
    for e in split_expressions():
        add("{{ " + e + " }}", DATA)
    for e in FEATURES.strip().split("\n"):
        add("{{ " + e + " }}", DATA)
    for t in STATEMENTS + ERRORS:
        add(t, DATA)
    for template, variables in families():
        add(template, variables)
    shared = []  # variables are written once, a case names them by number
    for c in cases:
        variables = c.pop("globals")
        if variables not in shared:
            shared.append(variables)
        c["globals"] = shared.index(variables)
    long = sorted({c["template"] for c in cases if len(c["template"]) > 200})  # so are long templates
    for c in cases:
        if c["template"] in long:
            c["template"] = long.index(c["template"])
    bad = [c for c in cases if "error" in c and c["template"] not in ERRORS and isinstance(c["template"], str)]
    for c in bad:
        print("error:", c["template"][:100], c["error"], file=sys.stderr)
    write("jinja.json", {"globals": shared, "templates": long, "cases": cases})


if __name__ == "__main__":
    make_templates()
