"""Makes constructs.json: every construct that the interpreter has, with what Jinja makes of it.

Run: python3 make_constructs.py > constructs.json
"""

import json
import pathlib

from jinja_environment import render

CONTEXT = {
    "n": 7, "negative": -7, "x": 2.5, "big": 12345678901234567890, "yes": True, "no": False, "nothing": None,
    "word": "Grüße, 世界 👋", "text": "  one two\tthree\n", "lines": "a\nb\r\nc\n\nd", "quote": "it's \"so\"",
    "list": [3, 1, 2, 1], "names": ["beta", "Alpha", "gamma", "alpha"], "empty": [],
    "map": {"b": 1, "a": [1, {"c": None}], "items": "member"}, "nested": [[1, 2], [3, 4]],
    "people": [
        {"name": "Ada", "age": 36, "at": {"city": "London"}}, {"name": "Linus", "age": 21, "at": {"city": "Turku"}},
        {"name": "Bo", "age": None, "at": {}},
    ],
    "floats": [0.0, -0.0, 1.0, 1e-7, 1e16, 123456789012345.6, 9007199254740993.0, 0.1, 100.0, 1.5e300, 5e-324],
    "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}],
    "html": "<a href=\"x\">&'</a>", "control": "\u0000\u001f\u007f\u0085\u00a0\u2028\u200b\\",
    "composed": "\u00e9", "decomposed": "e\u0301",
}

OUTPUT = """
{{ n }} {{ x }} {{ big }} {{ yes }} {{ no }} {{ nothing }} {{ word }} {{ missing }}|
{{ list }} {{ map }} {{ people }} {{ floats }} {{ () }} {{ (1,) }} {{ 1, 2 }} {{ {} }} {{ [] }}
{{ [quote, "a'b", 'a"b', "\\n\\t\\\\", control, word] }}
{{ 1e3 }} {{ 1.0 }} {{ 0x1F }} {{ 1_000 }} {{ 0b101 }} {{ 0o17 }} {{ 1.5e-3 }} {{ 2e0 }}
{{ 'a' 'b' "c" }} {{ "tab\\tnew\\\\n \\x41\\u00e9\\U0001F600 \\q \\101" }} {{ 'it\\'s' }}
{{ true }} {{ True }} {{ none }} {{ None }} {{ false }} {{ False }}
{{ composed == decomposed }} {{ decomposed|length }} {{ word|length }} {{ word[8] }} {{ word[-1] }} {{ word[99] }}|
"""

ARITHMETIC = """
{{ 1 + 2 * 3 }} {{ (1 + 2) * 3 }} {{ 7 / 2 }} {{ 7 // 2 }} {{ negative // 2 }} {{ 7 % 3 }} {{ negative % 3 }} {{ 7 % -3 }}
{{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ 2.5 * 2 }} {{ 1 / 3 }} {{ 10 - 2 - 3 }} {{ 6 / 2 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }}
{{ 'a' + 'b' }} {{ 'ab' * 3 }} {{ 2 * 'ab' }} {{ [1] + [2] }} {{ [1, 2] * 2 }} {{ (1,) + (2,) }} {{ 'a' * -1 }}|
{{ 1 ~ 2 ~ 'x' ~ none ~ 1.0 }} {{ 1 + 2 ~ 3 }} {{ 'a' ~ 1 ~ 1 }}
{{ -n }} {{ +n }} {{ - -n }} {{ -1|abs }} {{ yes + 1 }} {{ yes * 2.5 }} {{ n - yes }}
{{ nothing + 1 }}
{{ 'a' + 1 }}
{{ 1 // 0 }}
{{ missing + 'a' }}
{{ missing ~ 'a' }}
"""

LOGIC = """
{{ 1 == 1.0 }} {{ 1 == true }} {{ '1' == 1 }} {{ [1, 2] == [1, 2.0] }} {{ {'a': 1} == {'a': 1} }} {{ none == none }} {{ (1,) == [1] }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' < 'b' }} {{ 'Z' < 'a' }} {{ 'é' > 'z' }} {{ [1, 2] < [1, 3] }} {{ 1 != 2 }} {{ 2 >= 2 }} {{ 2 <= 1 }} {{ 1 == 1 == 1 }}
{{ 'b' in 'abc' }} {{ 'x' not in 'abc' }} {{ 1 in [1, 2] }} {{ 'a' in map }} {{ 'z' in map }} {{ '' in 'a' }} {{ 3 in (1, 2) }} {{ 'a' in missing }} {{ n in empty }}
{{ 0 or 'x' }} {{ 'a' and 'b' }} {{ '' and 'b' }}| {{ not 0 }} {{ not 'a' }} {{ 1 or 2 and 0 }} {{ not 1 == 2 }} {{ none or 0 or [] or 'end' }}
{{ 'y' if yes else 'n' }} {{ 'y' if no }}| {{ 'a' if no else 'b' if no else 'c' }} {{ ('a' if yes) ~ 'b' }}
{{ 1 < 'a' }}
{{ 1 in 'abc' }}
{{ none in 'abc' }}
{{ 1 in 5 }}
{{ missing == missing }} {{ missing == none }} {{ missing != 'a' }}
{{ missing < 1 }}
"""

ACCESS = """
{{ map.b }} {{ map['b'] }} {{ map.a[1].c }} {{ map.zzz }}| {{ map['zzz'] }}| {{ map.items() }} {{ map['items'] }} {{ list.0 }} {{ list[-1] }} {{ list[9] }}|
{{ people[0].at.city }} {{ people[0]['at']['city'] }} {{ people[2].at.city }}| {{ nested[1][0] }} {{ 'abc'[1] }} {{ 'abc'[-3] }} {{ 'abc'[3] }}|
{{ list[1:] }} {{ list[:2] }} {{ list[1:3] }} {{ list[::-1] }} {{ list[::2] }} {{ list[-2:] }} {{ list[:-1] }} {{ list[5:] }} {{ list[3:1:-1] }} {{ list[-1:0:-2] }} {{ 'abcdef'[1:4] }} {{ word[7:9] }} {{ word[::-1] }} {{ (1, 2, 3)[1:] }} {{ list[:] }} {{ list[none:2] }}
{{ map.get('b') }} {{ map.get('q') }} {{ map.get('q', 5) }} {{ map.keys()|list }} {{ map.values()|list }} {{ map.items()|list }} {{ map.keys()|length }} {{ {1: 'a', 'b': 2, none: 3}[1] }} {{ {1: 'a'}[1.0] }}
{{ {'a': 1, 'b': 2, 'a': 3} }} {{ dict(a=1, b=2) }} {{ dict([('a', 1)], c=3) }} {{ dict(map, b=9).b }}
{{ missing.member }}
{{ missing[0] }}
{{ map.zzz.yyy }}
{{ nothing.member }}|{{ n.member }}|{{ nothing[0] }}|{{ 'abc'.nope }}|{{ list.nope }}|{{ list['a'] }}|{{ 'abc'['x'] }}|
{{ list[1:'a'] }}
{{ list[::0] }}
{{ missing() }}
{{ n() }}
{{ map.items()[0] }}|
{{ list.append(4) }}
{{ map.update({'q': 1}) }}
{{ map.pop('b') }}
{{ ''.__class__ }}
{{ map.__class__ }}
"""

TEXT_METHODS = """
{{ word.upper() }} {{ word.lower() }} {{ 'straße'.upper() }} {{ 'ab cd-ef g3h'.title() }} {{ 'hELLO wORLD'.capitalize() }} {{ 'aB'.swapcase() }}
[{{ text.strip() }}] [{{ text.lstrip() }}] [{{ text.rstrip() }}] [{{ 'xxaxx'.strip('x') }}] [{{ 'abcba'.lstrip('ab') }}] [{{ 'abc'.rstrip('cb') }}] [{{ 'aéa'.strip('a') }}] [{{ text.strip(none) }}]
{{ text.split() }} {{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ 'a b c'.split(none, 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'aXXbXXc'.split('XX') }} {{ 'a,b,c'.rsplit(',', 1) }} {{ 'abc'.split('abc') }} {{ 'a b  c '.split(' ') }} {{ 'a,b'.split(sep=',') }} {{ 'a,b,c'.split(',', maxsplit=1) }}
{{ 'a'.split('') }}
{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith('bc') }} {{ 'abc'.startswith(('x', 'a')) }} {{ 'abc'.endswith('abcd') }} {{ 'abc'.startswith('') }}
{{ 'abc'.startswith(1) }}
{{ 'aaa'.replace('a', 'b') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ 'abc'.replace('', '-') }} {{ 'abc'.replace('', '-', 2) }} {{ 'aaaa'.replace('aa', 'b') }} {{ 'abc'.replace('x', 'y') }}
{{ ','.join(['a', 'b']) }} {{ ''.join('abc') }} {{ ','.join([]) }}|
{{ ','.join([1]) }}
{{ 'banana'.count('an') }} {{ 'banana'.find('na') }} {{ 'banana'.rfind('na') }} {{ 'banana'.find('x') }} {{ 'éa'.find('a') }} {{ 'banana'.index('n') }} {{ 'aaa'.count('') }}
{{ 'banana'.index('x') }}
{{ 'abc'.isalpha() }} {{ '12'.isdigit() }} {{ 'a1'.isalnum() }} {{ ' '.isspace() }} {{ 'AB'.isupper() }} {{ 'ab1'.islower() }} {{ ''.isalpha() }} {{ '²'.isdigit() }} {{ '½'.isnumeric() }} {{ '12'.isdecimal() }}
[{{ 'ab'.ljust(5) }}] [{{ 'ab'.rjust(5, '.') }}] [{{ 'ab'.center(5, '*') }}] [{{ 'abc'.center(6, '*') }}] [{{ '-5'.zfill(4) }}] [{{ '5'.zfill(3) }}]
{{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('x') }} {{ 'abc'.rpartition('x') }}
{{ lines.splitlines() }} {{ 'prefix-a'.removeprefix('prefix-') }} {{ 'a.txt'.removesuffix('.txt') }} {{ 'abc'.removeprefix('x') }}
{{ list.index(1) }} {{ list.count(1) }} {{ (1, 2).index(2) }}
{{ list.index(9) }}
"""

FORMAT = """
{{ '{} and {}'.format(1, 'b') }} {{ '{1} {0} {1}'.format('a', 'b') }} {{ '{name}!'.format(name='x') }} {{ '{{}} {}'.format(none) }} {{ '{!r}'.format('a') }}
[{{ '{:5}'.format('a') }}] [{{ '{:>5}'.format('a') }}] [{{ '{:^6}'.format('abc') }}] [{{ '{:*<4}'.format('a') }}] [{{ '{:05d}'.format(42) }}] [{{ '{:5}'.format(42) }}] [{{ '{:+d}'.format(5) }}] [{{ '{:.2f}'.format(2.675) }}] [{{ '{:08.3f}'.format(-3.14159) }}] [{{ '{:,}'.format(1234567) }}] [{{ '{:x}'.format(255) }}] [{{ '{:.3}'.format('abcdef') }}] [{{ '{:.0f}'.format(0.5) }}] [{{ '{:.1f}'.format(0.05) }}] [{{ '{:.2f}'.format(0.005) }}] [{{ '{:.3f}'.format(999.9996) }}] [{{ '{:.2f}'.format(1e22) }}] [{{ '{:.1%}'.format(0.125) }}]
{{ '%s is %d' % ('a', 3) }} {{ '%s' % 'x' }} {{ '%5.1f|%-5s|%05d|%x|%%' % (2.25, 'a', 42, 255) }} {{ '%(a)s-%(b)s' % {'a': 1, 'b': 2} }} {{ '%r' % ['q'] }} {{ "%s-%s"|format(1, none) }} {{ '%s' % [1, 2] }} {{ '%+d' % 5 }} {{ '%i' % 3.9 }}
{{ '%d' % 'x' }}
{{ '%s %s' % 1 }}
{{ '%s' % (1, 2) }}
{{ '{} {}'.format(1) }}
{{ '{'.format(1) }}
"""

FILTERS = """
{{ [1, 2, 3]|length }} {{ 'abc'|count }} {{ map|length }} {{ missing|length }} {{ range(3)|length }} {{ 'a'|list }} {{ map|list }} {{ missing|list }}
{{ list|first }} {{ list|last }} {{ empty|first }}| {{ 'abc'|first }} {{ 'abc'|last }} {{ list|sort }} {{ list|sort(reverse=true) }} {{ names|sort }} {{ names|sort(case_sensitive=true) }} {{ people[:2]|sort(attribute='age')|map(attribute='name')|list }}
{{ list|unique|list }} {{ names|unique|list }} {{ list|reverse|list }} {{ 'abc'|reverse }} {{ list|min }} {{ list|max }} {{ names|min }} {{ list|sum }} {{ people[:2]|sum(attribute='age') }} {{ [1.5, 2]|sum }} {{ empty|min }}|
{{ list|join }} {{ list|join(', ') }} {{ people|join('/', attribute='name') }} {{ 'abc'|join('-') }} {{ [none, true, 1.0]|join(' ') }} {{ missing|join(',') }}|
{{ people|map(attribute='name')|list }} {{ people|map(attribute='at.city', default='?')|list }} {{ names|map('upper')|join(',') }} {{ names|map('replace', 'a', 'o')|list }} {{ nothing|map('upper')|list }} {{ [1, 2]|map('string')|list }} {{ nested|map('first')|list }} {{ nested|map(attribute=1)|list }}
{{ people|selectattr('age')|map(attribute='name')|list }} {{ people|selectattr('age', 'gt', 30)|list|length if no else 'skip' }} {{ people|selectattr('name', 'equalto', 'Ada')|list }} {{ people|rejectattr('age')|map(attribute='name')|list }} {{ people|rejectattr('name', 'in', ['Ada'])|map(attribute='name')|list }} {{ list|select('odd')|list }} {{ list|reject('odd')|list }} {{ [0, 1, '']|select|list }} {{ people|selectattr('age', 'none')|list|length }} {{ nothing|selectattr('a')|list }} {{ people|selectattr('zzz', 'defined')|list }}
{{ map|dictsort }} {{ {'b': 1, 'A': 2, 'c': 0}|dictsort }} {{ {'b': 1, 'A': 2}|dictsort(true) }} {{ {'b': 1, 'a': 2}|dictsort(by='value', reverse=true) }} {{ map|items|list }} {{ missing|items|list }}
{{ word|upper }} {{ word|lower }} {{ 'hello wORLD-foo (bar'|title }} {{ 'hELLO'|capitalize }} [{{ text|trim }}] [{{ 'xax'|trim('x') }}] {{ 'aaa'|replace('a', 'b') }} {{ 'aaa'|replace('a', 'b', 1) }} {{ 5|replace(5, 6) }} {{ none|upper }} {{ missing|upper }}| {{ 12|string + '3' }}
{{ missing|default('d') }} {{ none|default('d') }} {{ ''|default('d', true) }} {{ none|d('e', boolean=true) }} {{ missing|default }}| {{ map.q|default(map.b) }} {{ 0|default(5) }}
{{ '42'|int }} {{ '4.7'|int }} {{ 'x'|int }} {{ 'x'|int(-1) }} {{ 3.9|int }} {{ none|int }} {{ ' 7 '|int }} {{ '1a'|int(0, 16) }} {{ true|int }} {{ '2.5'|float }} {{ 'x'|float }} {{ 3|float }} {{ 'x'|float(1.5) }} {{ (-5)|abs }} {{ -2.5|abs }}
{{ 2.5|round }} {{ 3.5|round }} {{ 2.567|round(2) }} {{ 2.1|round(0, 'ceil') }} {{ 2.19|round(1, 'floor') }} {{ 7|round }} {{ -2.5|round }}
{{ lines|indent }} {{ lines|indent(2, true) }} {{ lines|indent(2, blank=true) }} {{ lines|indent('> ') }} {{ 'one'|indent(4) }} {{ 'one\\n'|indent(1) }}|
{{ 'a b c'|wordcount }} {{ 'hello world foo bar'|truncate(11) }} {{ 'hello world foo bar'|truncate(11, true) }} {{ 'hello'|truncate(4) }} {{ 'hello world foo'|truncate(9, end='…', leeway=0) }} [{{ 'ab'|center(6) }}]
{{ html|escape }} {{ html|e }} {{ html|safe }} {{ html|e|e }} {{ html|forceescape }} {{ (html|safe) + '<' }} {{ '<' + ('&'|safe) }} {{ '<' ~ ('&'|safe) }} {{ ('<b>'|safe)|upper + '>' }} {{ '<%s>'|safe|string }}
{{ list|batch(3)|list }} {{ list|batch(3, 0)|list }} {{ map|attr('keys') is callable }} {{ map|attr('b') is defined }} {{ map|attr('zzz') }}|
{{ 1|length }}
{{ none|list }}
{{ none|items|list }}
{{ people|sort(attribute='age') }}
{{ 5|join }}
{{ 'a'|nofilter }}
{{ 'x' if yes else 'a'|nofilter }}
{{ [1]|map('nofilter')|list }}
"""

JSON_FILTER = """
{{ map|tojson }} {{ people|tojson }} {{ floats|tojson }} {{ quote|tojson }} {{ control|tojson }} {{ word|tojson }} {{ html|tojson }} {{ none|tojson }} {{ true|tojson }} {{ (1, 2)|tojson }} {{ big|tojson }}
{{ map|tojson(indent=2) }}
{{ people|tojson(indent=4) }} {{ []|tojson(indent=2) }} {{ {}|tojson(indent=2) }} {{ [[]]|tojson(indent=1) }} {{ [1]|tojson(indent=0) }} {{ [1, [2]]|tojson(indent='--') }}
{{ map|tojson(sort_keys=true) }} {{ word|tojson(ensure_ascii=true) }} {{ word|tojson(true) }} {{ map|tojson(separators=(',', ':')) }} {{ {1: 2, none: 3, true: 4, 1.5: 5}|tojson }} {{ map|tojson(indent=none) }}
{{ missing|tojson }}
{{ map.items()|tojson }}
{{ range|tojson }}
"""

TESTS = """
{{ n is defined }} {{ missing is defined }} {{ missing is undefined }} {{ map.q is defined }} {{ nothing is none }} {{ nothing is defined }} {{ n is not none }} {{ missing is none }}
{{ yes is boolean }} {{ 1 is boolean }} {{ yes is true }} {{ 1 is true }} {{ no is false }} {{ 1 is integer }} {{ yes is integer }} {{ 1.0 is float }} {{ 1 is number }} {{ yes is number }} {{ 'a' is number }} {{ big is integer }}
{{ 'a' is string }} {{ 1 is string }} {{ map is mapping }} {{ list is mapping }} {{ list is sequence }} {{ 'a' is sequence }} {{ map is sequence }} {{ 1 is sequence }} {{ list is iterable }} {{ 1 is iterable }} {{ none is iterable }} {{ map is iterable }} {{ (1,) is sequence }} {{ missing is string }} {{ missing is iterable }} {{ map.items() is sequence }} {{ range is callable }} {{ n is callable }} {{ (list|map('string')) is iterable }} {{ (list|map('string')) is sequence }}
{{ 3 is odd }} {{ 3 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 1 is eq 1 }} {{ 1 is equalto 2 }} {{ 1 is ne 2 }} {{ 1 is lt 2 }} {{ 2 is le 2 }} {{ 3 is gt 2 }} {{ 2 is ge 3 }} {{ 1 is in [1, 2] }} {{ 'a' is in 'abc' }} {{ 5 is not in [1] }} {{ 1 is sameas 1 }} {{ yes is sameas true }} {{ 1 is sameas true }} {{ 'ab' is lower }} {{ 'AB' is upper }} {{ 'upper' is filter }} {{ 'odd' is test }} {{ 'nope' is test }}
{{ not n is defined }} {{ n is defined and missing is not defined }} {{ (n is odd) == true }} {{ n is string or n is number }} {{ 'y' if n is defined else 'n' }} {{ n + 1 is even }} {{ [1, 2]|length is eq 2 }} {{ 'a' ~ 'b' is string }}
{{ n is nosuchtest }}
"""

STATEMENTS = [
    "{% if yes %}a{% elif no %}b{% else %}c{% endif %}{% if no %}a{% elif yes %}b{% endif %}{% if no %}a{% else %}c{% endif %}",
    "{% for i in list %}{{ loop.index }}/{{ loop.index0 }}/{{ loop.revindex }}/{{ loop.revindex0 }}/{{ loop.first }}/{{ loop.last }}/{{ loop.length }}/{{ loop.previtem }}/{{ loop.nextitem }}/{{ loop.cycle('x', 'y') }}/{{ loop.changed(i) }}/{{ loop.depth }};{% endfor %}",
    "{% for k, v in map.items() %}{{ k }}={{ v }};{% endfor %}{% for k in map %}{{ k }}{% endfor %}{% for k, v in map|items %}{{ k }}{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% for c in 'añ👋' %}<{{ c }}>{% endfor %}",
    "{% for i in list if i > 1 %}{{ i }}{{ loop.last }}{% else %}none{% endfor %}{% for i in list if i > 9 %}x{% else %}none{% endfor %}{% for i in missing %}x{% else %}none{% endfor %}",
    "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in range(2) %}{% for j in range(2) %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}",
    "{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}{{ range(3)|list }}{{ range(1, 4)|list }}{{ range(0)|list }}{{ range(4, 1)|list }}",
    "{% for x in 5 %}{% endfor %}",
    "{% for a, b in [1] %}{% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}{% endfor %}",
    "{% set a = 1 %}{% for i in [1, 2] %}{{ a }}{% set a = a + i %}{{ a }};{% endfor %}{{ a }}{% if yes %}{% set a = 9 %}{% endif %}{{ a }}",
    "{% set ns = namespace(count=0, seen=[]) %}{% for i in list %}{% set ns.count = ns.count + i %}{% set ns.seen = ns.seen + [i] %}{% endfor %}{{ ns.count }}{{ ns.seen }}{{ ns.zzz is defined }}",
    "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}{% set ns.c = ns.a ~ ns.b %}{{ ns.c }}{{ ns['a'] }}",
    "{% set map.q = 1 %}",
    "{% set missing.q = 1 %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c = 1, 2 %}{{ c }}{% set (d, e) = [3, 4] %}{{ d }}{{ e }}",
    "{% set a %}block {{ n }}{% endset %}{{ a }}|{% set b | upper | trim %} x {% endset %}[{{ b }}]",
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}|{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}|{% set a = 5 %}{% with a = a + 1, b = a %}{{ a }}{{ b }}{% endwith %}",
    "{% filter upper %}abc {{ word }}{% endfilter %}{% filter replace('a', 'b')|indent(2) %}aa\naa{% endfilter %}",
    "{% macro m(a, b=2, c=a) %}{{ a }}-{{ b }}-{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=5, a=4) }}{{ m() }}{{ m(1, c=none) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}",
    "{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(4) }}",
    "{% set g = 1 %}{% macro m() %}{{ g }}{% set g = 5 %}{{ g }}{% endmacro %}{% set g = 2 %}{{ m() }}{{ g }}",
    "{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}in {{ n }}{% endcall %}{% macro l(xs) %}{% for x in xs %}<{{ caller(x) }}>{% endfor %}{% endmacro %}{% call(i) l([1, 2]) %}{{ i * 2 }}{% endcall %}",
    "{% macro m(a) %}{{ a|upper }}{% endmacro %}{{ ['a', 'b']|map('upper')|list }}{% set f = m %}{{ f('x') ~ m('y') }}{{ m('a') is string }}",
    "{% for i in [1] %}{% macro inner() %}{{ i }}{% endmacro %}{{ inner() }}{% endfor %}",
    "{% for i in [1, 2] %}{% macro m() %}{{ loop is defined }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% generation %}{{ n }}{% set inside = 1 %}{% endgeneration %}{{ inside is defined }}",
    "{% print n, x %}",
    "{% raw %}{{ not }} {% this %}{% endraw %}|{%- raw -%}  {{ x }}  {%- endraw -%}  |",
    "{# comment #}a{#- b -#}  c  {#- d #}\ne",
    "{{ raise_exception('stop ' ~ n) }}",
    "{{ strftime_now('%Y-%m-%d %d %b %B %A %a %H:%M:%S %I %p %j %y %-d %% %w') }}",
    "{% set j = joiner(' | ') %}{% for i in list %}{{ j() }}{{ i }}{% endfor %}",
    "{% set it = list|map('string') %}{{ it|first }}{{ it|list }}{{ it|list }}{{ 'yes' if empty|map('string') else 'no' }}{{ 'a' in (names|map('lower')) }}",
    "{{ (list|map('string')).x }}|{% if (people|selectattr('age', 'none'))|list %}some{% endif %}",
    "{% if messages[0]['role'] == 'user' and messages|length > 1 %}{{ messages[0]['content'] | trim + '!' }}{% endif %}",
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] + '\\n' }}{% endfor %}{% if add_generation_prompt %}x{% endif %}",
    "{{ dict(**{'a': 1}) }}{{ dict([('a', 1)], **{'b': 2}) }}{{ range(*[1, 4])|list }}{{ '{} {}'.format(*[1, 2]) }}",
    "{% set x = 5 %}{{ x if x is divisibleby 5 else 0 }}{{ {'a': {'b': {'c': 1}}}.a.b.c }}{{ {'a': {'b': 1}}['a']['b'] }}{{ {'k': [1, {'z': 2}]} }}",
    "{{ [1, 2,] }}{{ {'a': 1,} }}{{ (1, 2,) }}{{ [[1, [2, [3]]]] }}{{ -1 in [-1] }}{{ (1) }}{{ ((1)) }}",
]

WHITE_SPACE = [
    "  {% if yes %}\n  a\n  {% endif %}\nb\n",
    "a\n    {% if yes %}\n  x\n    {% endif %}\n  y",
    "a {%- if yes -%} b {%- endif -%} c",
    "a\n\n{%- if yes %}\n b\n{%- endif %}\n\nc",
    "a  {%+ if yes %}  b  {%+ endif %}  c",
    "   {%+ if yes +%}\n  b\n   {%+ endif +%}\n  c",
    "  {{ n }}  \n  {{- n -}}  \n  {{ n }}\n",
    "{{ n }}\n{{ n }}\n\n",
    "x  {# c #}  \n  {# d #}\n  y {#- e -#}\n z",
    "\n\n  {% set a = 1 %}\n\n  {{ a }}\n",
    "a\r\nb\rc{% if yes %}\r\nd{% endif %}\r\n",
    "{% for i in [1, 2] %}\n  - {{ i }}\n{% endfor %}\nend",
    "{% for i in [1, 2] -%}\n  - {{ i }}\n{%- endfor %}\nend",
    "\t{% if yes %}\t\n\tx{% endif %}",
    "text {% if yes %}\n  y\n{% endif %} more\n   {% if no %}z{% endif %}  \n.",
    "{%- set a = '\n' -%}\n[{{ a }}]",
    "{% if yes %}{{ n }}{% endif %}   {% if yes %}{{ n }}{% endif %}",
    "  {% raw %}\n  a\n  {% endraw %}\n  b",
    "{{ '}}' }}{{ \"%}\" }}{% set a = '%}' %}{{ a }}{{ {'a': {'b': 1}} }}",
    "a{{- ' b ' -}}   c\u00a0\u2003{{- 'd' }}",
    "{{-1}}{{ - 1 }}{{+2}}",
    "100% {sure} { {n} } {",
    "a {#- #} b{##}c",
]

BROKEN = [
    "{% if yes %}", "{{ n", "{% for %}{% endfor %}", "{{ }}", "{{ 1 + }}", "{% endif %}", "{{ (1 }}", "{{ 'a }}", "{# x",
    "{% raw %}x", "{{ 1 2 }}", "{{ a.[1] }}", "{% set %}", "{% macro %}{% endmacro %}", "{% else %}", "{{ [1, }}", "{{ ] }}",
    "{% break %}", "{{ n | }}", "{{ n is }}", "{% unknown %}", "{{ {1} }}", "{{ $ }}", "{% if %}{% endif %}", "{% for x in %}{% endfor %}",
    "{% if a %}{% endfor %}", "{{ f(a=1, 2) }}", "{{ '\\x4' }}",
]


def main():
    cases = {}
    groups = {
        "output": OUTPUT, "arithmetic": ARITHMETIC, "logic": LOGIC, "access": ACCESS, "text methods": TEXT_METHODS,
        "format": FORMAT, "filters": FILTERS, "json": JSON_FILTER, "tests": TESTS,
    }
    lists = {name: text.strip("\n").split("\n") for name, text in groups.items()}
    lists |= {"statements": STATEMENTS, "white space": WHITE_SPACE, "broken": BROKEN}
    for name, sources in lists.items():
        cases[name] = [{"source": s, "expected": render(s, CONTEXT)} for s in sources]
    for case in cases["broken"]:
        assert case["expected"] is None, case
    templates = []
    contexts = json.loads((pathlib.Path(__file__).parent / "contexts.json").read_text())
    for path in sorted((pathlib.Path(__file__).parent / "templates").glob("*.jinja")):
        source = path.read_text()
        templates.append({
            "template": path.name, "expected": {name: render(source, c) for name, c in contexts.items()}})
    print(json.dumps({"context": CONTEXT, "cases": cases, "templates": templates}, ensure_ascii=False, indent=1))


main()
