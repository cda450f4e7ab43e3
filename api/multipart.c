#include "multipart.h"

#include <string.h>
#include <strings.h>

#include "fault.h"

#define MAX_BOUNDARY 70 /* RFC 2046 */

typedef struct span {
	const char *data; /* [size] */
	size_t size;
} span;

static int broken(sn_error *err, const char *what)
{
	return fault_set(err, SN_ERR_INVALID, NULL, "the multipart body is malformed: %s", what);
}

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool one_of(char c, const char *set) { return c && strchr(set, c); }

static bool is_token(char c) { return is_letter_or_digit(c) || one_of(c, "!#$%&'*+-.^_`|~"); }

static bool same_word(span s, const char *word) { return s.size == strlen(word) && strncasecmp(s.data, word, s.size) == 0; }

static void skip_blanks(span *s)
{
	while (s->size && (*s->data == ' ' || *s->data == '\t')) {
		s->data++;
		s->size--;
	}
}

static span trim(span s)
{
	skip_blanks(&s);
	while (s.size && (s.data[s.size - 1] == ' ' || s.data[s.size - 1] == '\t'))
		s.size--;
	return s;
}

/* ---- `word; name=value; name="value"` ---- */

static span take_token(span *s)
{
	span t = {s->data, 0};
	while (t.size < s->size && is_token(t.data[t.size]))
		t.size++;
	s->data += t.size;
	s->size -= t.size;
	return t;
}

/* The inside of a quoted string, its backslashes left as they are; false if it does not end. */
static bool take_quoted(span *s, span *inside)
{
	size_t i = 1;
	while (i < s->size && s->data[i] != '"')
		i += s->data[i] == '\\' ? 2 : 1;
	if (i >= s->size)
		return false;
	*inside = (span){s->data + 1, i - 1};
	s->data += i + 1;
	s->size -= i + 1;
	return true;
}

/* The next parameter of a header's value: 1, 0 at the end, -1 if it is malformed. */
static int next_parameter(span *s, span *name, span *value)
{
	skip_blanks(s);
	if (!s->size)
		return 0;
	if (*s->data != ';')
		return -1;
	s->data++;
	s->size--;
	skip_blanks(s);
	if (!s->size) /* a trailing semicolon */
		return 0;
	*name = take_token(s);
	if (!name->size || !s->size || *s->data != '=')
		return -1;
	s->data++;
	s->size--;
	if (s->size && *s->data == '"')
		return take_quoted(s, value) ? 1 : -1;
	*value = take_token(s);
	return value->size ? 1 : -1;
}

/* ---- the request's Content-Type ---- */

static const char form_type[] = "multipart/form-data";

bool multipart_is_form(const char *content_type)
{
	size_t n = sizeof form_type - 1;
	return content_type && strncasecmp(content_type, form_type, n) == 0 && (!content_type[n] || one_of(content_type[n], "; \t"));
}

static bool boundary_is_plain(span b)
{
	if (b.size < 1 || b.size > MAX_BOUNDARY || b.data[b.size - 1] == ' ')
		return false;
	for (size_t i = 0; i < b.size; i++)
		if (!is_letter_or_digit(b.data[i]) && !one_of(b.data[i], "'()+_,-./:=? "))
			return false;
	return true;
}

static int boundary_find(span *boundary, const char *content_type, sn_error *err)
{
	span rest, name, value;
	int more;
	*boundary = (span){NULL, 0};
	if (!multipart_is_form(content_type))
		return fault_set(err, FAULT_CONTENT_TYPE, NULL, "the body must be sent as Content-Type: %s", form_type);
	rest = (span){content_type + sizeof form_type - 1, strlen(content_type) - (sizeof form_type - 1)};
	while ((more = next_parameter(&rest, &name, &value)) == 1) {
		if (!same_word(name, "boundary"))
			continue;
		if (boundary->size || !boundary_is_plain(value))
			more = -1;
		if (more < 0)
			break;
		*boundary = value;
	}
	if (more < 0 || !boundary->size)
		return fault_set(err, SN_ERR_INVALID, NULL, "the Content-Type has no boundary, or it is malformed");
	return SN_OK;
}

/* ---- a part's headers ---- */

static int parse_disposition(multipart_part *p, span value, sn_error *err)
{
	span name, word = take_token(&value);
	int more;
	if (!same_word(word, "form-data"))
		return broken(err, "a part's Content-Disposition is not form-data");
	while ((more = next_parameter(&value, &name, &word)) == 1) {
		if (same_word(name, "filename") || same_word(name, "filename*")) {
			p->has_filename = true;
			continue;
		}
		if (!same_word(name, "name"))
			continue;
		if (p->name[0] || word.size == 0 || word.size >= sizeof p->name)
			return broken(err, "a field's name is empty, too long, or there twice");
		for (size_t i = 0; i < word.size; i++)
			if (!is_letter_or_digit(word.data[i]) && !one_of(word.data[i], "_-.[]"))
				return broken(err, "a field's name is made of letters, digits and _ - . [ ]");
		memcpy(p->name, word.data, word.size);
		p->name[word.size] = 0;
	}
	if (more < 0)
		return broken(err, "a part's Content-Disposition");
	return p->name[0] ? SN_OK : broken(err, "a part without a name");
}

/* Values come as they are, so that there is one way to read them. */
static int check_encoding(span value, sn_error *err)
{
	if (same_word(value, "binary") || same_word(value, "8bit") || same_word(value, "7bit"))
		return SN_OK;
	return fault_set(err, SN_ERR_UNSUPPORTED, NULL, "a part's Content-Transfer-Encoding must be binary, 8bit or 7bit: parts are not decoded");
}

typedef struct seen_headers { bool disposition, type, encoding; } seen_headers;

static int parse_header(multipart_part *p, seen_headers *seen, span line, sn_error *err)
{
	span name = take_token(&line), value;
	bool *once = NULL;
	int rc = SN_OK;
	if (!name.size || name.data[0] == '-' || !line.size || *line.data != ':') /* --x: y may be a delimiter */
		return broken(err, "a part's header");
	value = trim((span){line.data + 1, line.size - 1});
	for (size_t i = 0; i < value.size; i++)
		if (((unsigned char)value.data[i] < 0x20 && value.data[i] != '\t') || value.data[i] == 0x7F)
			return broken(err, "a control character in a part's header");
	if (same_word(name, "Content-Disposition")) {
		once = &seen->disposition;
		rc = *once ? SN_OK : parse_disposition(p, value, err);
	} else if (same_word(name, "Content-Type")) {
		once = &seen->type;
		if (value.size >= 10 && strncasecmp(value.data, "multipart/", 10) == 0)
			rc = fault_set(err, SN_ERR_UNSUPPORTED, NULL, "a multipart within a part is not supported");
	} else if (same_word(name, "Content-Transfer-Encoding")) {
		once = &seen->encoding;
		rc = check_encoding(value, err);
	}
	if (once && *once)
		return broken(err, "a part has the same header twice");
	if (once)
		*once = true;
	return rc;
}

/* Takes the headers and the empty line behind them off the rest. */
static int parse_headers(multipart_part *p, span *rest, sn_error *err)
{
	seen_headers seen = {false, false, false};
	size_t bytes = 0;
	for (size_t n = 0;; n++) {
		size_t look = rest->size < MULTIPART_MAX_HEADER_BYTES - bytes ? rest->size : MULTIPART_MAX_HEADER_BYTES - bytes;
		const char *end = memmem(rest->data, look, "\r\n", 2);
		if (!end || n > MULTIPART_MAX_HEADERS)
			return broken(err, rest->size > look || n > MULTIPART_MAX_HEADERS ? "a part's headers are too large" : "it ends within a part's headers");
		span line = {rest->data, (size_t)(end - rest->data)};
		rest->data += line.size + 2;
		rest->size -= line.size + 2;
		bytes += line.size + 2;
		if (!line.size)
			return seen.disposition ? SN_OK : broken(err, "a part without Content-Disposition");
		int rc = parse_header(p, &seen, line, err);
		if (rc != SN_OK)
			return rc;
	}
}

/* ---- the body ---- */

/* What follows a delimiter's boundary: blanks and a line break, so that a part begins, or `--`, and no part follows. */
static int delimiter_end(span *rest, bool *last, sn_error *err)
{
	*last = rest->size >= 2 && memcmp(rest->data, "--", 2) == 0;
	if (*last) {
		rest->data += 2;
		rest->size -= 2;
	}
	skip_blanks(rest);
	if (rest->size >= 2 && memcmp(rest->data, "\r\n", 2) == 0) {
		rest->data += 2;
		rest->size -= 2;
		return SN_OK;
	}
	return *last && !rest->size ? SN_OK : broken(err, rest->size ? "a line that begins like a delimiter" : "it ends within a delimiter");
}

static int check_again(const multipart *m, const multipart_part *p, sn_error *err)
{
	size_t n = strlen(p->name);
	if (n > 2 && strcmp(p->name + n - 2, "[]") == 0)
		return SN_OK;
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->parts[i].name, p->name) == 0)
			return fault_set(err, SN_ERR_INVALID, p->name, "the form has the same field twice");
	return SN_OK;
}

int multipart_parse(multipart *out, const char *content_type, const char *body, size_t size, sn_error *err)
{
	char mark[MAX_BOUNDARY + 4] = "\r\n--"; /* a delimiter begins so; at the body's beginning without the line break */
	span boundary, rest = {body, size};
	bool last;
	out->n = 0;
	int rc = boundary_find(&boundary, content_type, err);
	if (rc != SN_OK)
		return rc;
	memcpy(mark + 4, boundary.data, boundary.size);
	size_t n_mark = boundary.size + 4;
	const char *at = body;
	if (size < n_mark - 2 || memcmp(body, mark + 2, n_mark - 2) != 0) {
		at = memmem(body, size, mark, n_mark);
		if (!at)
			return broken(err, "its boundary is nowhere in it");
		at += 2;
	}
	rest.data = at + n_mark - 2;
	rest.size = size - (size_t)(rest.data - body);
	while ((rc = delimiter_end(&rest, &last, err)) == SN_OK && !last) {
		multipart_part *p = &out->parts[out->n];
		if (out->n == MULTIPART_MAX_PARTS)
			return fault_set(err, SN_ERR_INVALID, NULL, "the form has more than %d parts", MULTIPART_MAX_PARTS);
		*p = (multipart_part){.size = 0};
		if ((rc = parse_headers(p, &rest, err)) != SN_OK || (rc = check_again(out, p, err)) != SN_OK)
			return rc;
		/* One reader would see an empty part here, another one a part that begins with a delimiter. */
		if (rest.size >= n_mark - 2 && memcmp(rest.data, mark + 2, n_mark - 2) == 0)
			return broken(err, "a part without a body");
		const char *end = memmem(rest.data, rest.size, mark, n_mark);
		if (!end)
			return broken(err, "it ends within a part");
		p->data = rest.data;
		p->size = (size_t)(end - rest.data);
		rest.size -= p->size + n_mark;
		rest.data = end + n_mark;
		out->n++;
	}
	return rc;
}
