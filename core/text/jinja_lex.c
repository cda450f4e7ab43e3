#include "text/jinja_lex.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"

bool lexer_init(lexer *l, arena *a, str source)
{
	char *p = arena_alloc(a, source.n + 1);
	*l = (lexer){.a = a, .p = p, .line = 1};
	if (!p)
		return false;
	for (size_t i = 0; i < source.n; i++) {
		bool cr = source.p[i] == '\r';
		if (cr && i + 1 < source.n && source.p[i + 1] == '\n')
			continue;
		p[l->n++] = cr ? '\n' : source.p[i];
	}
	if (l->n && p[l->n - 1] == '\n')
		l->n--;
	return true;
}

static token make(const lexer *l, token_kind kind, str s)
{
	return (token){.kind = kind, .line = l->line, .s = s};
}

static token error_token(const lexer *l, const char *what)
{
	return make(l, T_ERROR, str_of(what));
}

static void advance(lexer *l, size_t to)
{
	for (; l->at < to; l->at++)
		l->line += l->p[l->at] == '\n';
}

static char char_at(const lexer *l, size_t i)
{
	return i < l->n ? l->p[i] : 0;
}

/* End of the white space at i. */
static size_t skip_space(const lexer *l, size_t i)
{
	uint32_t cp;
	int len;
	while ((len = utf8_decode(l->p + i, l->n - i, &cp)) > 0 && unicode_is_py_space(cp))
		i += (size_t)len;
	return i;
}

static size_t rstrip(const char *p, size_t begin, size_t end)
{
	while (end > begin) {
		uint32_t cp;
		size_t i = begin + utf8_back(p + begin, end - begin);
		if (utf8_decode(p + i, end - i, &cp) <= 0 || !unicode_is_py_space(cp))
			break;
		end = i;
	}
	return end;
}

/* ---- text between delimiters ---- */

/* Where the text [begin, end) before a delimiter ends, once the delimiter's sign has had its say. */
static size_t strip_before(const lexer *l, size_t begin, size_t end, char sign, bool lstrip)
{
	if (sign == '-')
		return rstrip(l->p, begin, end);
	if (sign == '+' || !lstrip)
		return end;
	size_t line = end;
	while (line > begin && l->p[line - 1] != '\n')
		line--;
	bool starts_line = line > begin || begin == 0 || l->p[begin - 1] == '\n';
	return starts_line && skip_space(l, line) >= end ? line : end;
}

/* Past a closing delimiter at i, if there is one: -%} eats white space, %} a newline when `trim` is set. 0: none. */
static size_t close_at(const lexer *l, size_t i, char c, bool trim)
{
	char sign = char_at(l, i);
	if (sign == '-' || (sign == '+' && trim))
		i++;
	else
		sign = 0;
	if (char_at(l, i) != c || char_at(l, i + 1) != '}')
		return 0;
	i += 2;
	if (sign == '-')
		return skip_space(l, i);
	return trim && sign == 0 && char_at(l, i) == '\n' ? i + 1 : i;
}

static size_t find_delimiter(const lexer *l, size_t i)
{
	for (; i + 1 < l->n; i++) {
		const char *brace = memchr(l->p + i, '{', l->n - 1 - i);
		if (!brace)
			break;
		i = (size_t)(brace - l->p);
		if (strchr("%{#", l->p[i + 1]) && l->p[i + 1])
			return i;
	}
	return l->n;
}

/* Past `{% word %}` at i (i at the brace), or 0. */
static size_t match_word_block(const lexer *l, size_t i, const char *word, bool trim)
{
	size_t n = strlen(word);
	i += 2;
	if (char_at(l, i) == '-' || char_at(l, i) == '+')
		i++;
	i = skip_space(l, i);
	if (l->n - i < n || memcmp(l->p + i, word, n))
		return 0;
	return close_at(l, skip_space(l, i + n), '%', trim);
}

static bool skip_comment(lexer *l, size_t i)
{
	for (; i + 1 < l->n; i++) {
		const char *end = memmem(l->p + i, l->n - i, "#}", 2);
		if (!end)
			return false;
		size_t at = (size_t)(end - l->p);
		char sign = at > i ? l->p[at - 1] : 0;
		advance(l, close_at(l, sign == '-' || sign == '+' ? at - 1 : at, '#', true));
		return true;
	}
	return false;
}

/* The sign after an opening delimiter at i. */
static char sign_at(const lexer *l, size_t i)
{
	char c = char_at(l, i + 2);
	return c == '-' || c == '+' ? c : 0;
}

static token raw_text(lexer *l)
{
	size_t begin = l->at;
	for (size_t i = begin; (i = find_delimiter(l, i)) < l->n; i++) {
		size_t past = l->p[i + 1] == '%' ? match_word_block(l, i, "endraw", true) : 0;
		if (!past)
			continue;
		token t = make(l, T_DATA, (str){l->p + begin, strip_before(l, begin, i, sign_at(l, i), true) - begin});
		advance(l, past);
		l->mode = LEX_DATA;
		return t;
	}
	return error_token(l, "missing endraw");
}

static token begin_token(lexer *l)
{
	bool var = l->p[l->at + 1] == '{';
	token t = make(l, var ? T_VAR_BEGIN : T_BLOCK_BEGIN, (str){0});
	advance(l, l->at + 2 + (sign_at(l, l->at) != 0));
	l->mode = var ? LEX_VAR : LEX_BLOCK;
	l->brackets = 0;
	return t;
}

/* The next text up to a delimiter; moves to the delimiter, or past it where it is a comment or `raw`. */
static token data_text(lexer *l)
{
	size_t begin = l->at, open = find_delimiter(l, begin);
	if (open == l->n) {
		token t = make(l, begin < l->n ? T_DATA : T_END, (str){l->p + begin, l->n - begin});
		advance(l, l->n);
		return t;
	}
	char kind = l->p[open + 1], sign = sign_at(l, open);
	token t = make(l, T_DATA, (str){l->p + begin, strip_before(l, begin, open, sign, kind != '{') - begin});
	advance(l, open);
	size_t raw = kind == '%' ? match_word_block(l, open, "raw", false) : 0;
	if (raw) {
		advance(l, raw);
		l->mode = LEX_RAW;
	} else if (kind == '#') {
		if (!skip_comment(l, open + 2 + (sign != 0)))
			return error_token(l, "missing end of comment");
	} else {
		l->begin_pending = true;
	}
	return t;
}

/* ---- inside delimiters ---- */

static bool is_name_char(char c)
{
	return c == '_' || (unsigned)(c | 0x20) - 'a' < 26 || (unsigned)c - '0' < 10;
}

static bool is_digit(char c)
{
	return (unsigned)c - '0' < 10;
}

/* 0x1F, 0o17, 0b11 */
static token number_in_base(lexer *l, int base)
{
	char digits[64];
	size_t n = 0, i = l->at + 2;
	for (; i < l->n && is_name_char(l->p[i]) && n < sizeof digits - 1; i++)
		if (l->p[i] != '_')
			digits[n++] = l->p[i];
	digits[n] = 0;
	char *end;
	errno = 0;
	token t = make(l, T_INT, (str){0});
	t.i = strtoll(digits, &end, base);
	if (n == 0 || *end || errno || n == sizeof digits - 1)
		return error_token(l, "a number that is not supported");
	advance(l, i);
	return t;
}

static token number(lexer *l)
{
	char second = (char)(char_at(l, l->at + 1) | 0x20);
	if (l->p[l->at] == '0' && (second == 'x' || second == 'o' || second == 'b'))
		return number_in_base(l, second == 'x' ? 16 : second == 'o' ? 8 : 2);
	char digits[64];
	size_t n = 0, i = l->at;
	bool real = false;
	for (; i < l->n && n < sizeof digits - 1; i++) {
		char c = l->p[i];
		if (c == '_' && is_digit(char_at(l, i + 1)))
			continue;
		bool dot = c == '.' && !real && is_digit(char_at(l, i + 1)) && (l->at == 0 || l->p[l->at - 1] != '.');
		size_t past_sign = i + 1 + (char_at(l, i + 1) == '-' || char_at(l, i + 1) == '+');
		bool exponent = (c == 'e' || c == 'E') && is_digit(char_at(l, past_sign)) && !memchr(digits, 'e', n);
		if (exponent) {
			digits[n++] = 'e';
			if (past_sign > i + 1 && n < sizeof digits - 1)
				digits[n++] = l->p[++i];
		} else if (is_digit(c) || dot) {
			digits[n++] = c;
		} else {
			break;
		}
		real = real || dot || exponent;
	}
	digits[n] = 0;
	if (n == sizeof digits - 1 || (i < l->n && is_name_char(l->p[i])) || (!real && n > 18))
		return error_token(l, "a number that is not supported");
	token t = make(l, real ? T_FLOAT : T_INT, (str){0});
	if (real)
		t.f = strtod(digits, NULL);
	else
		t.i = strtoll(digits, NULL, 10);
	advance(l, i);
	return t;
}

static int hex_value(const char *p, size_t n, uint32_t *out)
{
	*out = 0;
	for (size_t i = 0; i < n; i++) {
		char c = p[i];
		unsigned d = is_digit(c) ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
		if (!is_digit(c) && (unsigned)((c | 0x20) - 'a') >= 6)
			return -1;
		*out = *out << 4 | d;
	}
	return 0;
}

/* Undoes one escape at p (past the backslash); returns the bytes used, 0 if it is not one. */
static size_t unescape(const char *p, size_t n, char out[4], size_t *n_out)
{
	static const char from[] = "ntr\\'\"abfv0", to[] = "\n\t\r\\'\"\a\b\f\v";
	const char *simple = n ? strchr(from, p[0]) : NULL;
	*n_out = 0;
	if (n == 0)
		return 0;
	if (p[0] == '\n')
		return 1;
	if (simple && *simple && !(p[0] == '0' && n > 1 && is_digit(p[1]))) {
		out[0] = to[simple - from];
		*n_out = 1;
		return 1;
	}
	size_t digits = p[0] == 'x' ? 2 : p[0] == 'u' ? 4 : p[0] == 'U' ? 8 : 0;
	uint32_t cp;
	if (digits == 0 || n < 1 + digits || hex_value(p + 1, digits, &cp))
		return 0;
	*n_out = utf8_encode(cp, out);
	return cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000) || *n_out == 0 ? 0 : 1 + digits;
}

static token string(lexer *l)
{
	char quote = l->p[l->at];
	size_t i = l->at + 1;
	char *p = NULL;
	size_t n = 0, end = i;
	while (end < l->n && l->p[end] != quote)
		end += l->p[end] == '\\' ? 2 : 1;
	if (end >= l->n)
		return error_token(l, "a string without its end");
	p = arena_alloc(l->a, end - i + 1);
	if (!p)
		return error_token(l, "out of memory");
	while (i < end) {
		char utf8[4];
		size_t n_utf8 = 0, used = l->p[i] == '\\' ? unescape(l->p + i + 1, end - i - 1, utf8, &n_utf8) : 0;
		if (used) {
			memcpy(p + n, utf8, n_utf8);
			n += n_utf8;
			i += 1 + used;
		} else if (l->p[i] == '\\' && i + 1 < end && strchr("xuUN0123", l->p[i + 1])) {
			return error_token(l, "a string escape that is not supported");
		} else {
			p[n++] = l->p[i++];
		}
	}
	token t = make(l, T_STRING, (str){p, n});
	advance(l, end + 1);
	return t;
}

static token op(lexer *l)
{
	static const char pairs[][3] = {"//", "**", "==", "!=", ">=", "<="};
	char c = l->p[l->at], d = char_at(l, l->at + 1);
	token t = make(l, T_OP, (str){0});
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		if (c == pairs[i][0] && d == pairs[i][1]) {
			t.op = OP2(c, d);
			l->at += 2;
			return t;
		}
	}
	if (!c || !strchr("+-/*%~[](){}><=.:|,;", c))
		return error_token(l, "an unexpected character");
	l->brackets += strchr("([{", c) ? 1 : strchr(")]}", c) && l->brackets ? -1 : 0;
	t.op = OP(c);
	l->at++;
	return t;
}

static token inside(lexer *l)
{
	size_t past = 0;
	advance(l, skip_space(l, l->at));
	if (l->at >= l->n)
		return error_token(l, "a tag without its end");
	if (l->brackets == 0)
		past = l->mode == LEX_VAR ? close_at(l, l->at, '}', false) : close_at(l, l->at, '%', true);
	if (past) {
		token t = make(l, l->mode == LEX_VAR ? T_VAR_END : T_BLOCK_END, (str){0});
		advance(l, past);
		l->mode = LEX_DATA;
		return t;
	}
	char c = l->p[l->at];
	if (is_digit(c))
		return number(l);
	if (c == '"' || c == '\'')
		return string(l);
	if (!is_name_char(c))
		return op(l);
	size_t end = l->at;
	while (end < l->n && is_name_char(l->p[end]))
		end++;
	token t = make(l, T_NAME, (str){l->p + l->at, end - l->at});
	l->at = end;
	return t;
}

token lexer_next(lexer *l)
{
	for (;;) {
		if (l->mode == LEX_VAR || l->mode == LEX_BLOCK)
			return inside(l);
		if (l->begin_pending) {
			l->begin_pending = false;
			return begin_token(l);
		}
		token t = l->mode == LEX_RAW ? raw_text(l) : data_text(l);
		if (t.kind != T_DATA || t.s.n)
			return t;
	}
}
