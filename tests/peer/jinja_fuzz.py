#!/usr/bin/env python3
"""Random chat templates: core's Jinja beside Python's jinja2, compiled as transformers compiles chat templates.

    python jinja_fuzz.py build/test_text_jinja [--seconds 60] [--seed 1]

Equal is: the same bytes, or an error on both sides. What core refuses when it parses (an unsupported construct, by
name) or for the size of an integer is counted apart; so is what prints a Python address. Exit status 1 if any differ.
"""
import argparse
import copy
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import warnings

from transformers.utils.chat_template_utils import _cached_compile_jinja_template

DATA = {
    "s": "hELLO wORLD", "u": "ünïcödé ß İ ΑΣ", "e": "", "q": "it's \"x\"\n\t\\ <b>&", "w": "  a b\t c\n", "num": "42", "csv": "a,b,,c",
    "i": 7, "z": 0, "neg": -3, "f": 1.5, "g": 2.5, "t": True, "no": False, "n": None,
    "l": [3, 1, 2], "names": ["b", "A", "c", "B"], "el": [], "mixed": [1, "a", None, 2.5, True], "nested": [[1, 2], [3], []],
    "d": {"b": 1, "A": [1, None], "items": 2}, "ed": {}, "m": {"role": "user", "content": "Hi there"},
    "users": [{"name": "x", "age": 3, "on": True, "tags": ["p", "q"]}, {"name": "y", "age": 1, "tags": []}, {"name": "X", "age": 3, "on": False}],
    "tree": [{"v": 1, "kids": [{"v": 2, "kids": []}, {"v": 3, "kids": [{"v": 4, "kids": []}]}]}],
    "messages": [{"role": "system", "content": "Be nice."}, {"role": "user", "content": "Hi\n"},
                 {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello!"}, {"role": "user", "content": [{"type": "text", "text": "q"}, {"type": "image"}]}],
}
STRS = ["s", "u", "e", "q", "w", "num", "csv", "m.role", "m['content']", "users[0].name", "messages[0].content"]
INTS = ["i", "z", "neg", "t", "users[0].age", "l[0]"]
LISTS = ["l", "names", "el", "mixed", "nested", "users", "nested[0]", "messages", "csv.split(',')", "s.split()"]
DICTS = ["d", "ed", "m", "users[0]", "messages[1]"]
TESTS = ["defined", "undefined", "none", "true", "false", "boolean", "integer", "float", "number", "string", "mapping", "sequence", "iterable",
         "callable", "odd", "even", "divisibleby(2)", "eq(1)", "equalto('a')", "ne(1)", "lt(3)", "le(3)", "gt(1)", "ge(1)", "in([1, 'a'])",
         "sameas(none)", "lower", "upper", "escaped", "filter", "test"]


class Maker:
    def __init__(self, rng):
        self.r = rng
        self.names = []

    def pick(self, *options):
        return self.r.choice(options)

    def expr(self, depth, kind=None):
        """kind: s(tring), i(nt), l(ist), d(ict), b(ool), f(loat) or any; now and then another one than asked for."""
        if self.r.random() < 0.06:
            kind = None
        kind = kind or self.r.choice("ssssiillldbbfa")
        return getattr(self, "e_" + kind)(depth)

    def e_a(self, d):
        return self.pick("none", "n", "zz", "loop", "f", *(self.names or ["s"])) if self.r.random() < 0.9 else self.expr(d - 1)

    def literal(self):
        return self.r.choice(["'a'", "'x y'", "''", "'<b>'", "'A-b_c'", "'%s'", "'\\n'", "'é'", "'{}'", "', '", "'12'", "'-1.5'", "'Ab Cd. ef'", "'ΣΑΣ'", "'aXbXc'"])

    def e_s(self, d):
        if d <= 0:
            return self.pick(*STRS, self.literal(), self.literal())
        s, i = (lambda: self.expr(d - 1, "s")), (lambda: self.small())
        p = lambda: self.atom(s())
        f = self.r.randrange(50)
        return [
            lambda: "%s ~ %s" % (self.paren(s()), self.paren(self.expr(d - 1))),
            lambda: "(%s + %s)" % (s(), s()),
            lambda: "%s * %s" % (p(), i()),
            lambda: "%s[%s:%s]" % (p(), self.pick("", i()), self.pick("", i())),
            lambda: "%s[%s:%s:%s]" % (p(), self.pick("", i()), self.pick("", i()), self.pick("1", "-1", "2", "-2")),
            lambda: "%s[%s]" % (p(), i()),
            lambda: "%s|%s" % (p(), self.pick("upper", "lower", "capitalize", "title", "trim", "string", "safe", "e", "escape", "reverse")),
            lambda: "%s|trim(%s)" % (p(), s()),
            lambda: "%s|replace(%s, %s)" % (p(), s(), s()),
            lambda: "%s|replace(%s, %s, %s)" % (p(), s(), s(), i()),
            lambda: "%s|indent(%s, %s, %s)" % (p(), self.pick("2", "'> '", "0"), self.pick("true", "false"), self.pick("true", "false")),
            lambda: "%s|indent" % p(),
            lambda: "%s|truncate(%s, %s, %s, %s)" % (p(), self.pick("3", "5", "9", "20"), self.pick("true", "false"), self.pick("'...'", "'…'", "''"), self.pick("0", "2", "none")),
            lambda: "%s|truncate(%s)" % (p(), self.pick("4", "6", "30")),
            lambda: "%s|center(%s)" % (p(), i()),
            lambda: "%s|default(%s)" % (self.atom(self.expr(d - 1)), s()),
            lambda: "%s|d(%s, true)" % (self.atom(self.expr(d - 1)), s()),
            lambda: "%s|tojson" % self.atom(self.expr(d - 1, self.pick("s", "l", "d", "i", "f"))),
            lambda: "%s|tojson(indent=%s)" % (self.atom(self.expr(d - 1, self.pick("l", "d"))), self.pick("2", "0", "none", "'\\t'")),
            lambda: "%s|tojson(ensure_ascii=%s, separators=(',', ':'), sort_keys=%s)" % (self.atom(self.expr(d - 1)), self.pick("true", "false"), self.pick("true", "false")),
            lambda: "%s|join(%s)" % (self.atom(self.expr(d - 1, "l")), s()),
            lambda: "%s|join" % self.atom(self.expr(d - 1, "l")),
            lambda: "users|join(', ', attribute='%s')" % self.pick("name", "age", "zz", "tags"),
            lambda: "%s.%s()" % (p(), self.pick("upper", "lower", "title", "capitalize", "strip", "lstrip", "rstrip")),
            lambda: "%s.%s(%s)" % (p(), self.pick("strip", "lstrip", "rstrip", "removeprefix", "removesuffix", "replace('a', 'bb').strip"), s()),
            lambda: "%s.replace(%s, %s)" % (p(), s(), s()),
            lambda: "%s.replace(%s, %s, %s)" % (p(), s(), s(), i()),
            lambda: "%s.join(%s)" % (p(), self.pick("names", "s", "csv.split(',')", self.expr(d - 1, "l"))),
            lambda: "%s.%s(%s)" % (p(), self.pick("center", "ljust", "rjust", "zfill"), i()),
            lambda: "%s.%s(%s, %s)" % (p(), self.pick("center", "ljust", "rjust"), i(), self.pick("'*'", "'é'", "s")),
            lambda: "%s %% %s" % (self.pick("'%s'", "'%d|'", "'%5s'", "'%-5s|'", "'%.2f'", "'%05d'", "'%x'", "'%+d'", "'%r'", "'%.1s'", "'%%'", "'%e'", "'%g'", "'%c'", "'%#x'", "' %5.1f%%'"), self.atom(self.expr(d - 1))),
            lambda: "'%%s-%%s' %% (%s, %s)" % (self.expr(d - 1), self.expr(d - 1)),
            lambda: "'%%(name)s' %% %s" % self.pick("users[0]", "d", "dict(name=%s)" % s()),
            lambda: "%s|format(%s)" % (self.pick("'%s'", "'<%s>'", "'%d'", s()), self.expr(d - 1)),
            lambda: "%s.format(%s, %s)" % (self.pick("'{}{}'", "'{0}-{1}-{0}'", "'{:>5}|{:<4}'", "'{:^7}'", "'{!r}{}'", "'{{}}{}'", "'{0[0]}'", "'{0.name}'"), self.expr(d - 1), self.expr(d - 1)),
            lambda: "%s.format(%s)" % (self.pick("'{:d}'", "'{:05}'", "'{:.2f}'", "'{:+}'", "'{:,}'", "'{:x}'", "'{:*^9}'", "'{:e}'", "'{:%}'", "'{:g}'", "'{:#b}'", "'{:.1}'", "'{:_}'", "'{:6.2f}|'", "'{:=5}'"), self.expr(d - 1, self.pick("i", "f", "s"))),
            lambda: "'{a}{b}'.format(a=%s, b=%s)" % (self.expr(d - 1), self.expr(d - 1)),
            lambda: "(%s if %s else %s)" % (s(), self.expr(d - 1, "b"), s()),
            lambda: "(%s if %s)" % (s(), self.expr(d - 1, "b")),
            lambda: "%s|%s" % (self.atom(self.expr(d - 1, "l")), self.pick("first", "last", "min", "max")),
            lambda: "%s|string" % self.atom(self.expr(d - 1)),
            lambda: "%s.partition(%s)%s" % (p(), s(), self.pick("[0]", "[1]", "[2]", "", "|join('|')")),
            lambda: "%s.rpartition(%s)%s" % (p(), s(), self.pick("[0]", "[2]", "")),
            lambda: "%s.split(%s)[%s]" % (p(), s(), self.pick("0", "-1", "1")),
            lambda: "%s.get(%s, %s)" % (self.pick(*DICTS), s(), self.expr(d - 1)),
            lambda: "%s[%s]" % (self.pick(*DICTS), self.pick("'name'", "'role'", "'b'", "'items'", s())),
            lambda: "%s|attr(%s)" % (self.pick("m", "d", "s", "i"), self.pick("'role'", "'zz'")),
            lambda: "[%s, %s]|join(%s)" % (self.expr(d - 1), self.expr(d - 1), s()),
            lambda: "(%s|safe + %s)" % (p(), s()),
            lambda: "(%s|e ~ %s)" % (p(), s()),
        ][f]()

    def small(self):
        return self.pick("0", "1", "2", "3", "-1", "-2", "5", "9", "i", "neg")

    def e_i(self, d):
        if d <= 0:
            return self.pick(*INTS, "1", "2", "3", "-1", "0", "10")
        i = lambda: self.expr(d - 1, "i")
        return [
            lambda: "(%s %s %s)" % (i(), self.pick("+", "-", "*", "//", "%", "+", "-"), i()),
            lambda: "(%s ** %s)" % (self.pick("2", "3", "-2", i()), self.pick("2", "3", "0", "-1")),
            lambda: "-%s" % self.atom(i()),
            lambda: "%s|length" % self.atom(self.expr(d - 1, self.pick("s", "l", "d"))),
            lambda: "%s|count" % self.atom(self.expr(d - 1, self.pick("s", "l"))),
            lambda: "%s|wordcount" % self.atom(self.expr(d - 1, "s")),
            lambda: "%s|int" % self.atom(self.expr(d - 1)),
            lambda: "%s|int(%s)" % (self.atom(self.expr(d - 1)), i()),
            lambda: "%s|int(-1, %s)" % (self.pick("'0x1F'", "'ff'", "'777'", "'0b11'", "'1_0'", "'zz'", "' 12 '"), self.pick("16", "8", "2", "10", "36")),
            lambda: "%s|abs" % self.atom(i()),
            lambda: "%s|round(%s)" % (self.atom(i()), self.pick("0", "-1", "1")),
            lambda: "%s|sum" % self.pick("l", "[1, 2.5]", "range(4)", "el", "l|map('abs')"),
            lambda: "users|sum(attribute='age')", lambda: "users|sum('age', 10)",
            lambda: "%s.%s(%s)" % (self.atom(self.expr(d - 1, "s")), self.pick("find", "count", "rfind", "index", "rindex"), self.expr(d - 1, "s")),
            lambda: "%s.find(%s, %s)" % (self.atom(self.expr(d - 1, "s")), self.expr(d - 1, "s"), self.small()),
            lambda: "%s.count(%s, %s, %s)" % (self.atom(self.expr(d - 1, "s")), self.expr(d - 1, "s"), self.small(), self.small()),
            lambda: "%s.%s(%s)" % (self.pick("l", "mixed", "(1, 2)", "names"), self.pick("index", "count"), self.pick("1", "'a'", "2")),
            lambda: "%s[%s]" % (self.pick("l", "range(5)", "nested[0]"), self.small()),
            lambda: "(%s if %s else %s)" % (i(), self.expr(d - 1, "b"), i()),
            lambda: "%s|%s" % (self.pick("l", "range(3)", "el"), self.pick("min", "max", "first", "last")),
        ][self.r.randrange(20)]()

    def e_f(self, d):
        if d <= 0:
            return self.pick("f", "g", "1.0", "0.1", "-2.5", "1e3", "1e-7", "3.14159")
        f = lambda: self.expr(d - 1, "f")
        return [
            lambda: "(%s %s %s)" % (f(), self.pick("+", "-", "*", "/", "//", "%"), self.expr(d - 1, self.pick("i", "f"))),
            lambda: "(%s / %s)" % (self.expr(d - 1, "i"), self.expr(d - 1, "i")),
            lambda: "%s|float" % self.atom(self.expr(d - 1)),
            lambda: "%s|float(%s)" % (self.atom(self.expr(d - 1, "s")), f()),
            lambda: "%s|round" % self.atom(f()),
            lambda: "%s|round(%s)" % (self.atom(f()), self.pick("1", "2", "0", "-1", "3")),
            lambda: "%s|round(%s, %s)" % (self.atom(f()), self.pick("1", "0", "2"), self.pick("'ceil'", "'floor'", "'common'")),
            lambda: "%s|abs" % self.atom(f()),
        ][self.r.randrange(8)]()

    def path(self):
        return self.pick("'name'", "'age'", "'on'", "'zz'", "'tags'", "'tags.0'", "'role'", "'content'", "0", "'0'")

    def generator(self, d):
        l = self.atom(self.expr(d - 1, "l"))
        return self.pick(
            "%s|map('%s')" % (l, self.pick("upper", "string", "length", "int", "tojson", "first", "list", "trim", "default", "title", "e")),
            "%s|map('%s', %s)" % (l, self.pick("default", "join", "int", "truncate", "round"), self.pick("'x'", "1", "3")),
            "%s|map(attribute=%s)" % (self.pick(l, "users"), self.path()),
            "users|map(attribute=%s, default=%s)" % (self.path(), self.pick("'-'", "none", "0", "zz")),
            "%s|%s('%s')" % (l, self.pick("select", "reject"), self.pick("defined", "string", "number", "none", "odd", "mapping", "sequence")),
            "%s|%s('%s', %s)" % (l, self.pick("select", "reject"), self.pick("eq", "ne", "equalto", "in", "gt", "=="), self.pick("1", "'a'", "[1, 2]")),
            "%s|%s" % (l, self.pick("select", "reject", "unique", "reverse")),
            "users|%s(%s)" % (self.pick("selectattr", "rejectattr"), self.path()),
            "users|%s(%s, '%s', %s)" % (self.pick("selectattr", "rejectattr"), self.path(), self.pick("equalto", "eq", "in", "gt", "sameas", "ne"), self.pick("3", "'x'", "true", "['x', 'y']")),
            "users|%s(%s, '%s')" % (self.pick("selectattr", "rejectattr"), self.path(), self.pick("defined", "none", "true", "string", "odd")),
            "%s|unique(%s)" % (l, self.pick("true", "false")),
            "users|unique(attribute=%s)" % self.path(),
            "%s|batch(%s)" % (l, self.pick("1", "2", "3", "0", "-1", "7")),
            "%s|batch(%s, %s)" % (l, self.pick("2", "3", "5"), self.pick("'x'", "none", "0")),
            "%s|slice(%s)" % (l, self.pick("1", "2", "3", "0", "-1", "7")),
            "%s|slice(%s, %s)" % (l, self.pick("2", "3", "5"), self.pick("'x'", "none", "0")),
            "%s|items" % self.pick("d", "m", "ed", "zz", "users[0]"))

    def e_l(self, d):
        if d <= 0:
            return self.pick(*LISTS, "[1, 'a']", "(1, 2)", "[]", "range(4)", "['b', 'a', 'B']", "['a', 'a', 'b']")
        l = lambda: self.atom(self.expr(d - 1, "l"))
        if self.r.random() < 0.35:
            return "%s|list" % self.generator(d)
        return [
            lambda: "[%s]" % ", ".join(self.expr(d - 1) for _ in range(self.r.randrange(4))),
            lambda: "(%s, %s)" % (self.expr(d - 1), self.expr(d - 1)),
            lambda: "(%s + %s)" % (self.expr(d - 1, "l"), self.expr(d - 1, "l")),
            lambda: "%s * %s" % (self.pick("[0]", "l", "(1,)", "el"), self.small()),
            lambda: "%s[%s:%s]" % (l(), self.pick("", self.small()), self.pick("", self.small())),
            lambda: "%s[::%s]" % (l(), self.pick("-1", "2", "1", "-2")),
            lambda: "%s|list" % self.atom(self.expr(d - 1)),
            lambda: "%s|sort" % l(),
            lambda: "%s|sort(%s, %s)" % (l(), self.pick("true", "false"), self.pick("true", "false")),
            lambda: "users|sort(attribute=%s)" % self.pick(self.path(), "'age,name'", "'on'"),
            lambda: "%s|dictsort" % self.pick(*DICTS),
            lambda: "%s|dictsort(%s, '%s', %s)" % (self.pick(*DICTS), self.pick("true", "false"), self.pick("key", "value", "zz"), self.pick("true", "false")),
            lambda: "%s.%s()%s" % (self.pick(*DICTS), self.pick("items", "keys", "values"), self.pick("", "|list", "|list")),
            lambda: "%s.split(%s)" % (self.atom(self.expr(d - 1, "s")), self.pick("", "','", "' '", "'a'", "none, 1", "',', 1", self.expr(d - 1, "s"))),
            lambda: "%s.rsplit(%s)" % (self.atom(self.expr(d - 1, "s")), self.pick("", "','", "' ', 1", "none, 1", "none, 2", "'x'")),
            lambda: "%s.splitlines(%s)" % (self.atom(self.expr(d - 1, "s")), self.pick("", "true")),
            lambda: "range(%s)" % self.small(),
            lambda: "range(%s, %s, %s)%s" % (self.small(), self.small(), self.pick("1", "2", "-1", "-2"), self.pick("", "|list", "[1:]", "[::-1]")),
            lambda: "users|groupby(%s)" % self.path(),
            lambda: "users|groupby('%s', default=%s, case_sensitive=%s)" % (self.pick("on", "age", "name", "zz"), self.pick("true", "0", "''"), self.pick("true", "false")),
            lambda: "(%s if %s else %s)" % (l(), self.expr(d - 1, "b"), l()),
            lambda: "%s|%s" % (self.atom(self.generator(d)), self.pick("first", "list", "sort", "join(',')", "length", "last", "reverse|list", "tojson", "min", "sum")),
        ][self.r.randrange(22)]()

    def e_d(self, d):
        if d <= 0:
            return self.pick(*DICTS, "{'a': 1}", "{}")
        return [
            lambda: "{%s: %s, %s: %s}" % (self.expr(d - 1, "s"), self.expr(d - 1), self.pick("'k'", "1", "none", "true", self.expr(d - 1, "s")), self.expr(d - 1)),
            lambda: "dict(a=%s, b=%s)" % (self.expr(d - 1), self.expr(d - 1)),
            lambda: "dict(%s, z=%s)" % (self.pick(*DICTS), self.expr(d - 1)),
            lambda: "dict(**%s)" % self.pick(*DICTS),
            lambda: "%s.copy()" % self.pick(*DICTS),
        ][self.r.randrange(5)]()

    def e_b(self, d):
        if d <= 0:
            return self.pick("t", "no", "true", "false", "e", "i")
        b = lambda: self.expr(d - 1, "b")
        return [
            lambda: "(%s %s %s)" % (self.expr(d - 1, k := self.r.choice("sifl")), self.pick("==", "!=", "<", "<=", ">", ">="), self.expr(d - 1, k)),
            lambda: "(%s == %s)" % (self.expr(d - 1), self.expr(d - 1)),
            lambda: "(%s < %s < %s)" % (self.expr(d - 1, "i"), self.expr(d - 1, "i"), self.expr(d - 1, "i")),
            lambda: "(%s %s %s)" % (b(), self.pick("and", "or"), b()),
            lambda: "(not %s)" % b(),
            lambda: "(%s %s %s)" % (self.expr(d - 1), self.pick("in", "not in"), self.expr(d - 1, "l")),
            lambda: "(%s in %s)" % (self.expr(d - 1, "s"), self.expr(d - 1, self.pick("s", "d"))),
            lambda: "(%s is %s%s)" % (self.atom(self.expr(d - 1)), self.pick("", "not "), self.r.choice(TESTS)),
            lambda: "%s.%s(%s)" % (self.atom(self.expr(d - 1, "s")), self.pick("startswith", "endswith"), self.pick(self.expr(d - 1, "s"), "('a', 'h')", "'E', 1", "'L', 1, 4")),
            lambda: "%s.%s()" % (self.atom(self.expr(d - 1, "s")), self.pick("isdigit", "isalpha", "isspace", "isalnum", "islower", "isupper", "isascii", "isdecimal", "isprintable")),
            lambda: "%s is %s" % (self.atom(self.generator(d)), self.r.choice(TESTS[:14])),
        ][self.r.randrange(11)]()

    def atom(self, e):
        return e if re.fullmatch(r"[\w.]+|'[^']*'|\[[^\[\]]*\]", e) and not re.fullmatch(r"[\d.]+", e) else "(%s)" % e

    def paren(self, e):
        return self.atom(e)

    # ---- statements ----

    def text(self):
        return self.pick("", " ", "\n", "a", "  ", "\n  ", "x\n", "<|im_start|>", "\t", " b ", "\n\n", "é", "{ ", "} ", "% ", "# ")

    def tag(self, inner):
        return "{%%%s %s %s%%}" % (self.pick("", "", "-", "+"), inner, self.pick("", "", "-", "+"))

    def out(self, d):
        return "{{%s %s %s}}" % (self.pick("", "", "-"), self.expr(d), self.pick("", "", "-"))

    def body(self, d, n=3):
        keep = list(self.names)
        s = "".join(self.text() + self.statement(d) for _ in range(self.r.randrange(1, n + 1))) + self.text()
        self.names = keep
        return s

    def name(self):
        n = self.pick("x", "y", "k", "v", "item")
        self.names.append(n)
        return n

    def statement(self, d):
        if d <= 0 or self.r.random() < 0.4:
            return self.out(self.r.randrange(1, 3))
        t, b = self.tag, self.body
        f = self.r.randrange(22)
        loop_bits = ["{{ loop.index }}", "{{ loop.index0 }}/{{ loop.length }}", "{{ loop.first }}{{ loop.last }}", "{{ loop.revindex }},{{ loop.revindex0 }}",
                     "{{ loop.previtem }}<{{ loop.nextitem }}", "{{ loop.cycle('a', 'b', 'c') }}", "{{ loop.changed(x) }}", "{{ loop.depth }}{{ loop.depth0 }}",
                     "{{ ',' if not loop.last }}", "{% if loop.index > 2 %}{% break %}{% endif %}", "{% if loop.first %}{% continue %}{% endif %}", "{{ x }}"]
        if f == 0:
            return t("if " + self.expr(2, "b")) + b(d - 1) + t("endif")
        if f == 1:
            return t("if " + self.expr(2, "b")) + b(d - 1) + t("elif " + self.expr(1, "b")) + b(d - 1) + t("else") + b(d - 1) + t("endif")
        if f in (2, 3, 4, 5):
            self.names.append("x")
            over = self.expr(2, "l") if self.r.random() < 0.7 else self.generator(2)
            cond = self.pick("", "", " if x", " if x is " + self.r.choice(TESTS), " if x != 1")
            end = t("else") + b(0, 1) if self.r.random() < 0.3 else ""
            return t("for x in " + self.pick(over, over, "'aé<'", "d", "q", "zz") + cond) + self.r.choice(loop_bits) + b(d - 1) + self.r.choice(loop_bits) + end + t("endfor")
        if f == 6:
            return t("for k, v in " + self.pick("d.items()", "d|items", "d|dictsort", "users|groupby('age')", "[(1, 2), (3, 4)]", "nested", "m.items()")) + "{{ k }}={{ v }};" + t("endfor")
        if f == 7:
            e = self.expr(2)
            return t("set %s = %s" % (self.name(), e))
        if f == 8:
            inner = b(d - 1)
            return t("set %s%s" % (self.name(), self.pick("", " | upper", " | trim | replace('a', 'b')"))) + inner + t("endset")
        if f == 9:
            return t("set ns = namespace(c=%s, k=%s)" % (self.expr(1, "i"), self.expr(1))) + t("for x in " + self.expr(1, "l")) + t("set ns.c = ns.c + 1") + \
                t("set ns.q = x") + b(d - 1, 1) + t("endfor") + "{{ ns.c }}{{ ns.k }}{{ ns.q }}{{ ns.zz is defined }}"
        if f == 10:
            return t("macro mac(a, b=%s)" % self.expr(1)) + "{{ a }}|{{ b }}" + b(d - 1, 1) + t("endmacro") + \
                "{{ mac(%s) }}" % self.pick("1", "", "b=2", "1, 2", "b=1, a=2", "1, 2, 3", "c=1", "*[1, 2]", "**{'a': 5}", "1, **{'b': 5}", "*l", self.expr(1))
        if f == 11:
            return t("macro mac(a)") + "{{ a }}{{ varargs }}{{ kwargs }}" + t("endmacro") + "{{ mac(%s) }}" % self.pick("1", "1, 2, 3", "1, z=2", "*l", "**d", "")
        if f == 12:
            return t("macro mac(a=1)") + "<{{ caller(%s) }}>" % self.pick("", "a", "a, 2") + t("endmacro") + t("call%s mac(%s)" % (self.pick("", "(y)", "(y, k=3)"), self.pick("", "2"))) + "{{ y }}{{ k }}" + b(d - 1, 1) + t("endcall")
        if f == 13:
            return t("filter " + self.pick("upper", "trim", "replace('a', 'e') | upper", "indent(2)", "e")) + b(d - 1) + t("endfilter")
        if f == 14:
            return t("with x = %s, y = %s" % (self.expr(1), self.pick("x", "s", "1"))) + "{{ x }}{{ y }}" + b(d - 1) + t("endwith")
        if f == 15:
            return t("for x in tree recursive") + "{{ x.v }}{{ loop.depth }}" + self.r.choice(loop_bits[:4]) + "{% if x.kids %}({{ loop(x.kids) }}){% endif %}" + t("endfor")
        if f == 16:
            return "{#%s c %s#}" % (self.pick("", "-", "+"), self.pick("", "-", "+"))
        if f == 17:
            return t("raw") + self.pick("{{ x }}", " {% if %} ", "{#") + t("endraw")
        if f == 18:
            return t("set j = joiner(%s)" % self.pick("", "'|'")) + t("for x in l") + "{{ j() }}{{ x }}" + t("endfor")
        if f == 19:
            return t("set c = cycler('a', 1, none)") + "{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.reset() }}{{ c.next() }}"
        if f == 20:
            return t("generation") + b(d - 1) + t("endgeneration")
        return t("set gen = " + self.generator(2)) + self.pick("{{ gen|list }}{{ gen|list }}", "{{ gen|first }}{{ gen|list }}", "{% for x in gen %}{{ x }}{{ loop.length }}{% endfor %}{{ gen|join }}",
                                                               "{{ 1 in gen }}{{ gen|list }}", "{{ 'y' if gen else 'n' }}")


def expected(template):
    try:
        return _cached_compile_jinja_template(template).render(**copy.deepcopy(DATA)), None
    except RecursionError:
        return None, "RecursionError"
    except Exception as e:
        return None, "%s: %s" % (type(e).__name__, e)


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    ap.add_argument("program")
    ap.add_argument("--seconds", type=float, default=60)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--show", type=int, default=20)
    a = ap.parse_args()
    warnings.simplefilter("ignore", SyntaxWarning)
    rng, end = random.Random(a.seed), time.time() + a.seconds
    count = dict.fromkeys(("same text", "error on both sides", "refused by name", "integer too large for core", "prints an address", "slices a number", "differ"), 0)
    shown = 0
    while time.time() < end:
        batch = []
        for _ in range(500):
            m = Maker(rng)
            batch.append("{{ %s }}" % m.expr(rng.randrange(1, 5)) if rng.random() < 0.5 else m.body(3))
        with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False, encoding="utf-8") as f:
            json.dump({"globals": [DATA], "cases": [{"template": t, "globals": 0} for t in batch]}, f)
        run = subprocess.run([a.program, f.name], capture_output=True)
        os.unlink(f.name)
        lines = run.stdout.decode().splitlines()
        if len(lines) != len(batch):
            print("the program ended early (status %d) at\n%s" % (run.returncode, batch[len(lines)]))
            return 1
        for t, line in zip(batch, lines):
            got = json.loads(line)
            want, error = expected(t)
            if want is not None and (re.search(r"<[^<>]* (at|of) 0x|<built-in|<bound|<function|<Macro|<Namespace|<generator|<Cycler|object at|<class", want)):
                kind = "prints an address"
            elif "error" in got:
                if error:
                    kind = "error on both sides"
                elif "is not supported" in got["error"]:
                    kind = "refused by name"
                elif "cannot be sliced" in got["error"]:
                    kind = "slices a number"  # jinja2 has no error where the number is a constant
                elif "too large" in got["error"]:
                    kind = "integer too large for core"
                else:
                    kind = "differ"
            else:
                kind = "same text" if got["out"] == want else "differ"
            count[kind] += 1
            if kind == "differ" and shown < a.show:
                shown += 1
                print("%s\n  python %r\n  core   %r\n" % (t, error or want, got.get("error", got.get("out"))))
    print("%d templates: " % sum(count.values()) + ", ".join("%s %d" % (k, v) for k, v in count.items()))
    return count["differ"] > 0


if __name__ == "__main__":
    sys.exit(main())
