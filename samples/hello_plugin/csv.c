/* csv.c - see table.h. One pass that counts or, given room, also fills: both passes of the contract are the same code. */
#include <string.h>

#include "table.h"

typedef struct reader {
	const uint8_t *at, *end;
	uint8_t *to;  /* NULL: count only */
	uint64_t bytes;
	sn_fault *fault;
} reader;

/* Length of the UTF-8 character at p, 0 if it is none (overlong, surrogate, past U+10FFFF, cut off). */
static size_t utf8_length(const uint8_t *p, const uint8_t *end)
{
	size_t n = *p < 0x80 ? 1 : *p >= 0xC2 && *p < 0xE0 ? 2 : *p >= 0xE0 && *p < 0xF0 ? 3 : *p >= 0xF0 && *p < 0xF5 ? 4 : 0;
	if (n == 0 || (size_t)(end - p) < n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
		return 0;
	return n;
}

static bool at_break(const reader *r)
{
	return r->at == r->end || *r->at == '\n' || (*r->at == '\r' && r->end - r->at > 1 && r->at[1] == '\n');
}

/* One cell, up to the comma or line break behind it. */
static sn_rc read_cell(reader *r)
{
	bool quoted = r->at < r->end && *r->at == '"';
	uint8_t *head = r->to;
	size_t length = 0;
	if (quoted)
		r->at++;
	for (;;) {
		if (quoted && r->at < r->end && *r->at == '"') {
			r->at++;
			if (r->at == r->end || *r->at != '"')
				break; /* the closing quote */
		} else if (quoted ? r->at == r->end || *r->at == '\n' || *r->at == '\r' : at_break(r) || *r->at == ',') {
			if (quoted)
				return table_fail(r->fault, SN_RC_INVALID, "the table has a quoted cell that does not end in its line");
			break;
		} else if (!quoted && *r->at == '"') {
			return table_fail(r->fault, SN_RC_INVALID, "the table has a quote inside a cell that does not begin with one");
		}
		size_t n = utf8_length(r->at, r->end);
		if (n == 0)
			return table_fail(r->fault, SN_RC_INVALID, "the table is not UTF-8");
		if (n == 1 && (*r->at < 0x20 || *r->at == 0x7F) && *r->at != '\t')
			return table_fail(r->fault, SN_RC_INVALID, "the table has a control character");
		if ((length += n) > TABLE_CELL)
			return table_fail(r->fault, SN_RC_TOO_LARGE, "the table has a cell of more than 128 bytes");
		if (r->to)
			memcpy(r->to + 1 + length - n, r->at, n);
		r->at += n;
	}
	if (!at_break(r) && *r->at != ',')
		return table_fail(r->fault, SN_RC_INVALID, "the table has text behind a quoted cell");
	r->bytes += 1 + length;
	if (r->to) {
		*head = (uint8_t)length;
		r->to += 1 + length;
	}
	return SN_RC_OK;
}

static sn_rc read_line(reader *r, uint32_t max_columns, uint32_t *columns)
{
	for (*columns = 0;;) {
		sn_rc rc = read_cell(r);
		if (rc != SN_RC_OK)
			return rc;
		if (++*columns > max_columns)
			return table_fail(r->fault, SN_RC_TOO_LARGE, "the table has too many columns");
		if (at_break(r))
			break;
		r->at++; /* the comma */
	}
	if (r->at < r->end)
		r->at += *r->at == '\r' ? 2 : 1;
	return SN_RC_OK;
}

sn_rc csv_read(const uint8_t *text, size_t n, uint32_t max_columns, uint32_t max_rows, uint8_t *samples, table_size *size,
               sn_fault *fault)
{
	reader r = {.at = text, .end = text + n, .to = samples, .fault = fault};
	*size = (table_size){0};
	if (n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) /* what some programs write before UTF-8 */
		r.at += 3;
	if (r.at == r.end)
		return table_fail(fault, SN_RC_INVALID, "the table is empty");
	while (r.at < r.end) {
		uint32_t columns;
		sn_rc rc = read_line(&r, max_columns, &columns);
		if (rc != SN_RC_OK)
			return rc;
		if (columns < 2 || (size->rows && columns != size->columns))
			return table_fail(fault, SN_RC_INVALID, "the table's lines must have the same number of cells, at least two");
		if (size->rows == max_rows)
			return table_fail(fault, SN_RC_TOO_LARGE, "the table has too many rows");
		size->columns = columns;
		size->rows++;
	}
	size->bytes = r.bytes;
	return SN_RC_OK;
}
