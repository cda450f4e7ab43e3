/* jinja_methods.c - methods of strings, dicts, lists, loops and cyclers. Methods that change their object do not exist:
 * values are immutable, as in Jinja's ImmutableSandboxedEnvironment; but a loop remembers what changed() saw, and a
 * cycler where it stands. */
#include "text/jinja_ctx.h"
#include "text/jinja_strings.h"
#include "text/unicode.h"

/* ---- str ---- */

BUILTIN(str_strip) { return string_strip(c, self->s, argv[0], STRIP_BOTH); }
BUILTIN(str_lstrip) { return string_strip(c, self->s, argv[0], STRIP_LEFT); }
BUILTIN(str_rstrip) { return string_strip(c, self->s, argv[0], STRIP_RIGHT); }
BUILTIN(str_upper) { return string_case(c, self->s, UNICODE_UPPER); }
BUILTIN(str_lower) { return string_case(c, self->s, UNICODE_LOWER); }
BUILTIN(str_capitalize) { return string_capitalize(c, self->s); }
BUILTIN(str_title) { return string_title(c, self->s); }

static bool count_of(jinja_ctx *c, const value *v, int64_t *out)
{
	*out = -1;
	return !v || integer_of(v, out) || ctx_fail(c, "expected an int, not '%s'", value_type_name(v));
}

BUILTIN(str_split)
{
	int64_t max;
	return count_of(c, argv[1], &max) ? string_split(c, self->s, argv[0], max, false) : NULL;
}

BUILTIN(str_rsplit)
{
	int64_t max;
	return count_of(c, argv[1], &max) ? string_split(c, self->s, argv[0], max, true) : NULL;
}

BUILTIN(str_splitlines)
{
	return string_splitlines(c, self->s, argv[0] && value_truth(argv[0]));
}

static bool all_strings(jinja_ctx *c, const value *a, const value *b)
{
	if (a->kind == VALUE_STRING && b->kind == VALUE_STRING)
		return true;
	return ctx_fail(c, "expected a string, not '%s'", value_type_name(a->kind == VALUE_STRING ? b : a));
}

/* In the text of a Markup, what a method puts in is escaped. */
static const value *put_in(jinja_ctx *c, const value *self, const value *v)
{
	return self->s.markup ? jinja_filter_find(STR("escape"))->fn(c, v, NULL, NULL) : v;
}

BUILTIN(str_replace)
{
	int64_t count;
	if (!all_strings(c, argv[0], argv[1]) || !count_of(c, argv[2], &count))
		return NULL;
	const value *with = put_in(c, self, argv[1]);
	return with ? string_replace(c, self->s, argv[0]->s, with->s, count) : NULL;
}

/* The byte where character i is. */
static size_t byte_of(text t, int64_t i)
{
	size_t at = 0;
	for (; i > 0 && at < t.n; i--)
		at += utf8_step(t.p + at, t.n - at);
	return at;
}

/* The part of the text that optional bounds leave, as slices have them; *start: its first character's number. False on
 * failure; *empty: the bounds lie outside or crossed. */
static bool window(jinja_ctx *c, text *t, const value *from, const value *to, int64_t *start, bool *empty)
{
	int64_t end = 0, n = (int64_t)utf8_count(t->p, t->n);
	*start = 0;
	*empty = false;
	if (!ctx_charge(c, t->n / 64) || (from && from->kind != VALUE_NONE && !integer_of(from, start)))
		return ctx_fail(c, "expected an int, not '%s'", from ? value_type_name(from) : "none");
	if (!to || to->kind == VALUE_NONE)
		end = n;
	else if (!integer_of(to, &end))
		return ctx_fail(c, "expected an int, not '%s'", value_type_name(to));
	end = end > n ? n : end < 0 ? end + n : end;
	*start = *start < 0 ? *start + n : *start;
	end = end < 0 ? 0 : end;
	*start = *start < 0 ? 0 : *start;
	*empty = *start > end;
	if (!*empty)
		*t = text_slice(*t, byte_of(*t, *start), byte_of(*t, end));
	return true;
}

static bool has_affix(text t, text affix, bool at_end)
{
	return affix.n <= t.n && (affix.n == 0 || !memcmp(t.p + (at_end ? t.n - affix.n : 0), affix.p, affix.n));
}

/* One string, or a tuple of strings of which any may fit. */
static const value *affix_test(jinja_ctx *c, text t, const value *const *argv, bool at_end)
{
	const value *affix = argv[0];
	int64_t start;
	bool empty;
	if ((argv[1] || argv[2]) && !window(c, &t, argv[1], argv[2], &start, &empty))
		return NULL;
	if ((argv[1] || argv[2]) && empty)
		return value_bool(false);
	if (affix->kind == VALUE_STRING)
		return value_bool(has_affix(t, affix->s, at_end));
	if (affix->kind != VALUE_TUPLE)
		return ctx_fail(c, "expected a string or a tuple, not '%s'", value_type_name(affix));
	for (size_t i = 0; i < affix->t->n; i++) {
		const value *one = affix->t->at[i].val;
		if (one->kind != VALUE_STRING)
			return ctx_fail(c, "expected a tuple of strings, not of '%s'", value_type_name(one));
		if (has_affix(t, one->s, at_end))
			return value_bool(true);
	}
	return value_bool(false);
}

BUILTIN(str_startswith) { return affix_test(c, self->s, argv, false); }
BUILTIN(str_endswith) { return affix_test(c, self->s, argv, true); }

BUILTIN(str_removeprefix)
{
	if (!all_strings(c, self, argv[0]))
		return NULL;
	return value_text(c->a, text_slice(self->s, has_affix(self->s, argv[0]->s, false) ? argv[0]->s.n : 0, self->s.n));
}

BUILTIN(str_removesuffix)
{
	if (!all_strings(c, self, argv[0]))
		return NULL;
	return value_text(c->a, text_slice(self->s, 0, self->s.n - (has_affix(self->s, argv[0]->s, true) ? argv[0]->s.n : 0)));
}

/* Where `what` begins in t, from the left or the right; SIZE_MAX: nowhere. */
static size_t place_of(text t, text what, bool from_right)
{
	if (what.n == 0)
		return from_right ? t.n : 0;
	if (!from_right) {
		const char *hit = memmem(t.p, t.n, what.p, what.n);
		return hit ? (size_t)(hit - t.p) : SIZE_MAX;
	}
	for (size_t i = t.n; i >= what.n; i--)
		if (!memcmp(t.p + i - what.n, what.p, what.n))
			return i - what.n;
	return SIZE_MAX;
}

/* The number of the character where argv[0] is found, -1 if nowhere. */
static const value *find_in(jinja_ctx *c, const value *self, const value *const *argv, bool from_right, bool must)
{
	text t = self->s;
	int64_t start;
	bool empty;
	if (!all_strings(c, self, argv[0]) || !window(c, &t, argv[1], argv[2], &start, &empty) ||
	    !ctx_charge(c, t.n / 64 * (from_right ? argv[0]->s.n / 64 + 1 : 1)))
		return NULL;
	size_t at = empty ? SIZE_MAX : place_of(t, argv[0]->s, from_right);
	if (at == SIZE_MAX && must)
		return ctx_fail(c, "index: the text is not in there");
	return value_int(c->a, at == SIZE_MAX ? -1 : start + (int64_t)utf8_count(t.p, at));
}

BUILTIN(str_find) { return find_in(c, self, argv, false, false); }
BUILTIN(str_rfind) { return find_in(c, self, argv, true, false); }
BUILTIN(str_index) { return find_in(c, self, argv, false, true); }
BUILTIN(str_rindex) { return find_in(c, self, argv, true, true); }

BUILTIN(str_count)
{
	text t = self->s;
	int64_t start;
	bool empty;
	if (!all_strings(c, self, argv[0]) || !window(c, &t, argv[1], argv[2], &start, &empty) || !ctx_charge(c, t.n / 16))
		return NULL;
	text what = argv[0]->s;
	int64_t n = what.n || empty ? 0 : (int64_t)utf8_count(t.p, t.n) + 1;
	const char *p = t.p, *end = t.p + t.n;
	while (!empty && what.n && (p = memmem(p, (size_t)(end - p), what.p, what.n))) {
		p += what.n;
		n++;
	}
	return value_int(c->a, n);
}

/* (before, separator, after) */
static const value *partition(jinja_ctx *c, const value *self, const value *sep, bool from_right)
{
	if (!all_strings(c, self, sep) || !ctx_charge(c, self->s.n / 64 * (from_right ? sep->s.n / 64 + 1 : 1)))
		return NULL;
	if (sep->s.n == 0)
		return ctx_fail(c, "partition needs a separator that is not empty");
	text t = self->s, middle = sep->s;
	size_t at = place_of(t, sep->s, from_right), none = from_right ? 0 : t.n;
	middle.markup = t.markup;
	text parts[3] = {text_slice(t, 0, at == SIZE_MAX ? none : at), middle, text_slice(t, at == SIZE_MAX ? none : at + sep->s.n, t.n)};
	if (at == SIZE_MAX)
		parts[1].n = 0;
	value *out = value_tuple(c->a);
	for (int i = 0; i < 3; i++)
		if (!value_push(c->a, out, value_text(c->a, parts[i])))
			return NULL;
	return out;
}

BUILTIN(str_partition) { return partition(c, self, argv[0], false); }
BUILTIN(str_rpartition) { return partition(c, self, argv[0], true); }

BUILTIN(str_join)
{
	const value_table *items = ctx_items(c, argv[0]);
	value *escaped = items && self->s.markup ? value_list(c->a) : NULL;
	for (size_t i = 0; items && i < items->n; i++) {
		if (items->at[i].val->kind != VALUE_STRING && !escaped)
			return ctx_fail(c, "join: item %zu is not a string", i);
		if (escaped && (!ctx_charge(c, 1) || !value_push(c->a, escaped, put_in(c, self, items->at[i].val))))
			return NULL;
	}
	const value *joined = items ? string_join(c, self->s, escaped ? escaped->t : items) : NULL;
	text t = joined ? joined->s : (text){0};
	t.markup = true;
	return joined && escaped ? value_text(c->a, t) : joined;
}

static const value *padded(jinja_ctx *c, const value *self, const value *const *argv, char side)
{
	static const value blank = {.kind = VALUE_STRING, .s = {.p = " ", .n = 1}};
	int64_t width;
	const value *fill = argv[1] ? put_in(c, self, argv[1]) : &blank;
	if (!count_of(c, argv[0], &width) || !fill)
		return NULL;
	if (fill->kind != VALUE_STRING || utf8_count(fill->s.p, fill->s.n) != 1)
		return ctx_fail(c, "the fill must be one character");
	int64_t n = width - (int64_t)utf8_count(self->s.p, self->s.n);
	if (side == '^')
		return string_center(c, self->s, width, fill->s);
	return string_pad(c, self->s, side == '>' ? n : 0, side == '<' ? n : 0, fill->s);
}

BUILTIN(str_center) { return padded(c, self, argv, '^'); }
BUILTIN(str_ljust) { return padded(c, self, argv, '<'); }
BUILTIN(str_rjust) { return padded(c, self, argv, '>'); }

BUILTIN(str_zfill)
{
	int64_t width;
	if (!count_of(c, argv[0], &width))
		return NULL;
	text t = self->s, zero = {.p = "0", .n = 1};
	size_t sign = t.n && (t.p[0] == '-' || t.p[0] == '+');
	const value *digits = string_pad(c, text_slice(t, sign, t.n), width - (int64_t)utf8_count(t.p, t.n), 0, zero);
	text_builder b = ctx_builder(c);
	put_text(&b, text_slice(t, 0, sign));
	if (digits)
		put_text(&b, digits->s);
	return digits ? ctx_text_like(c, &b, t) : NULL;
}

BUILTIN(str_format) { return ctx_format(c, self->s, all); }

static const value *every_char(jinja_ctx *c, const value *self, bool (*is)(uint32_t), bool of_none)
{
	text t = self->s;
	if (!ctx_charge(c, t.n / 16))
		return NULL;
	for (size_t i = 0, n; i < t.n; i += n) {
		uint32_t cp = 0;
		n = utf8_step(t.p + i, t.n - i);
		if (utf8_decode(t.p + i, t.n - i, &cp) <= 0 || !is(cp))
			return value_bool(false);
	}
	return value_bool(t.n != 0 || of_none);
}

static bool is_alnum(uint32_t cp)
{
	return unicode_is_letter(cp) || unicode_is_number(cp);
}

static bool is_ascii(uint32_t cp)
{
	return cp < 0x80;
}

BUILTIN(str_isdigit) { return every_char(c, self, unicode_is_py_digit, false); }
BUILTIN(str_isdecimal) { return every_char(c, self, unicode_is_decimal, false); }
BUILTIN(str_isalpha) { return every_char(c, self, unicode_is_letter, false); }
BUILTIN(str_isalnum) { return every_char(c, self, is_alnum, false); }
BUILTIN(str_isspace) { return every_char(c, self, unicode_is_py_space, false); }
BUILTIN(str_isascii) { return every_char(c, self, is_ascii, true); }
BUILTIN(str_isprintable) { return every_char(c, self, unicode_is_printable, true); }
BUILTIN(str_islower) { return string_has_case(c, self->s, true); }
BUILTIN(str_isupper) { return string_has_case(c, self->s, false); }

static const builtin string_methods[] = {
	{"strip", str_strip, "chars"},
	{"lstrip", str_lstrip, "chars"},
	{"rstrip", str_rstrip, "chars"},
	{"split", str_split, "sep maxsplit"},
	{"rsplit", str_rsplit, "sep maxsplit"},
	{"splitlines", str_splitlines, "keepends"},
	{"startswith", str_startswith, "prefix! start end"},
	{"endswith", str_endswith, "suffix! start end"},
	{"removeprefix", str_removeprefix, "prefix!"},
	{"removesuffix", str_removesuffix, "suffix!"},
	{"upper", str_upper, ""},
	{"lower", str_lower, ""},
	{"capitalize", str_capitalize, ""},
	{"title", str_title, ""},
	{"replace", str_replace, "old! new! count"},
	{"find", str_find, "sub! start end"},
	{"rfind", str_rfind, "sub! start end"},
	{"index", str_index, "sub! start end"},
	{"rindex", str_rindex, "sub! start end"},
	{"count", str_count, "sub! start end"},
	{"partition", str_partition, "sep!"},
	{"rpartition", str_rpartition, "sep!"},
	{"center", str_center, "width! fillchar"},
	{"ljust", str_ljust, "width! fillchar"},
	{"rjust", str_rjust, "width! fillchar"},
	{"zfill", str_zfill, "width!"},
	{"format", str_format, "*"},
	{"join", str_join, "iterable!"},
	{"isdigit", str_isdigit, ""},
	{"isdecimal", str_isdecimal, ""},
	{"isalpha", str_isalpha, ""},
	{"isalnum", str_isalnum, ""},
	{"isascii", str_isascii, ""},
	{"isprintable", str_isprintable, ""},
	{"islower", str_islower, ""},
	{"isupper", str_isupper, ""},
	{"isspace", str_isspace, ""},
};

/* ---- dict ---- */

static const value *dict_list(jinja_ctx *c, const value *dict, bool want_keys, bool want_values)
{
	value *list = value_list(c->a);
	if (list) {
		list->kind = VALUE_VIEW;
		list->t->view = want_keys && want_values ? "items" : want_keys ? "keys" : "values";
	}
	for (size_t i = 0; list && i < dict->t->n; i++) {
		const value_entry *e = &dict->t->at[i];
		const value *item = want_keys ? e->key : e->val;
		if (want_keys && want_values) {
			value *pair = value_tuple(c->a);
			item = value_push(c->a, pair, e->key) && value_push(c->a, pair, e->val) ? pair : NULL;
		}
		if (!value_push(c->a, list, item))
			return NULL;
	}
	return list;
}

BUILTIN(dict_items) { return dict_list(c, self, true, true); }
BUILTIN(dict_keys) { return dict_list(c, self, true, false); }
BUILTIN(dict_values) { return dict_list(c, self, false, true); }

BUILTIN(dict_get)
{
	if (!value_hashable(argv[0]))
		return ctx_fail(c, "a %s cannot be a key", value_type_name(argv[0]));
	const value *v = dict_find(c, self, argv[0]);
	return v || c->status ? v : argv[1] ? argv[1] : value_none();
}

/* Nothing can change a value, so that it is its own copy. */
BUILTIN(same) { return self; }

static const builtin dict_methods[] = {
	{"items", dict_items, ""},
	{"keys", dict_keys, ""},
	{"values", dict_values, ""},
	{"get", dict_get, "key! default"},
	{"copy", same, ""},
};

/* ---- list, tuple ---- */

BUILTIN(list_count)
{
	int64_t n = 0;
	for (size_t i = 0; i < self->t->n; i++)
		n += ctx_equal(c, self->t->at[i].val, argv[0]);
	return ctx_charge(c, self->t->n / 16) ? value_int(c->a, n) : NULL;
}

BUILTIN(list_index)
{
	for (size_t i = 0; i < self->t->n && ctx_charge(c, i % 16 == 0); i++)
		if (ctx_equal(c, self->t->at[i].val, argv[0]))
			return value_int(c->a, (int64_t)i);
	return ctx_fail(c, "index: the item is not in there");
}

static const builtin list_methods[] = {
	{"count", list_count, "value!"},
	{"index", list_index, "value!"},
	{"copy", same, ""},
};

/* ---- what would change a list or a dict: the sandbox has it fail when it is called ---- */

BUILTIN(forbidden) { return ctx_fail(c, "a template may not change lists and dicts"); }

static const builtin changing_methods[] = {
	{"append", forbidden, "*"}, {"extend", forbidden, "*"}, {"insert", forbidden, "*"},  {"pop", forbidden, "*"},     {"remove", forbidden, "*"},
	{"sort", forbidden, "*"},   {"clear", forbidden, "*"},  {"reverse", forbidden, "*"}, {"update", forbidden, "*"}, {"setdefault", forbidden, "*"},
	{"popitem", forbidden, "*"},
};

static const builtin *or_changing(const builtin *found, str name)
{
	return found ? found : BUILTIN_FIND(changing_methods, name);
}

/* ---- loop ---- */

BUILTIN(loop_cycle)
{
	if (all->n == 0 || all->n_named)
		return ctx_fail(c, "loop.cycle needs values to go through");
	return all->at[self->loop->i % all->n];
}

/* Differs from the last call in this loop? */
BUILTIN(loop_changed)
{
	value *now = value_tuple(c->a);
	if (all->n_named)
		return ctx_fail(c, "loop.changed takes no named values");
	for (size_t i = 0; now && i < all->n; i++)
		if (!value_push(c->a, now, all->at[i]))
			return NULL;
	bool same_as_before = now && self->loop->changed && ctx_equal(c, self->loop->changed, now);
	if (now)
		self->loop->changed = now;
	return !now || c->status ? NULL : value_bool(!same_as_before);
}

static const builtin loop_methods[] = {
	{"cycle", loop_cycle, "*"},
	{"changed", loop_changed, "*"},
};

/* ---- cycler ---- */

static const value *cycler_move(jinja_ctx *c, const value *self, int64_t to)
{
	const value *items = self->t->at[0].val, *now = items->t->at[self->t->at[1].val->i].val;
	self->t->at[1].val = value_int(c->a, to % (int64_t)items->t->n);
	return self->t->at[1].val ? now : NULL;
}

BUILTIN(cycler_next) { return cycler_move(c, self, self->t->at[1].val->i + 1); }
BUILTIN(cycler_reset) { return cycler_move(c, self, 0) ? value_none() : NULL; }

static const builtin cycler_methods[] = {
	{"next", cycler_next, ""},
	{"reset", cycler_reset, ""},
};

/* ---- finding ---- */

bool jinja_method_known(str name)
{
	return BUILTIN_FIND(string_methods, name) || BUILTIN_FIND(dict_methods, name) || BUILTIN_FIND(list_methods, name) ||
	       BUILTIN_FIND(loop_methods, name) || BUILTIN_FIND(cycler_methods, name) || BUILTIN_FIND(changing_methods, name);
}

const builtin *jinja_method_find(const value *self, str name)
{
	switch (self->kind) {
	case VALUE_STRING:
		return BUILTIN_FIND(string_methods, name);
	case VALUE_DICT:
		return or_changing(BUILTIN_FIND(dict_methods, name), name);
	case VALUE_LIST:
		return or_changing(BUILTIN_FIND(list_methods, name), name);
	case VALUE_TUPLE:
		return BUILTIN_FIND(list_methods, name);
	case VALUE_LOOP:
		return BUILTIN_FIND(loop_methods, name);
	case VALUE_CYCLER:
		return BUILTIN_FIND(cycler_methods, name);
	default:
		return NULL;
	}
}
