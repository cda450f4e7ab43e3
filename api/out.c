#include "out.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void out_fini(out_buf *o)
{
	free(o->data);
	*o = (out_buf){0};
}

static bool out_reserve(out_buf *o, size_t more)
{
	if (o->failed || more > SIZE_MAX / 2 - o->size) {
		o->failed = true;
		return false;
	}
	if (o->size + more <= o->cap)
		return true;
	size_t cap = o->cap ? o->cap : 512;
	while (cap < o->size + more)
		cap *= 2;
	char *data = realloc(o->data, cap);
	if (!data) {
		o->failed = true;
		return false;
	}
	o->data = data;
	o->cap = cap;
	return true;
}

void out_bytes(out_buf *o, const char *data, size_t size)
{
	if (!size || !out_reserve(o, size))
		return;
	memcpy(o->data + o->size, data, size);
	o->size += size;
}

void out_drop(out_buf *o, size_t size)
{
	if (!size)
		return;
	memmove(o->data, o->data + size, o->size - size);
	o->size -= size;
}

void out_text(out_buf *o, const char *text)
{
	out_bytes(o, text, strlen(text));
}

void out_fmt(out_buf *o, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n >= 0 && out_reserve(o, (size_t)n + 1)) {
		vsnprintf(o->data + o->size, (size_t)n + 1, fmt, again);
		o->size += (size_t)n;
	}
	va_end(again);
}

/* Bytes of the valid UTF-8 character at s, 0 if there is none (overlong, surrogate, cut off, above U+10FFFF). */
static size_t utf8_size(const unsigned char *s, size_t left)
{
	if (s[0] < 0x80)
		return 1;
	size_t n = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
	if (s[0] < 0xC2 || s[0] > 0xF4 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xC0) != 0x80)
			return 0;
	bool bad = (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90) ||
	           (s[0] == 0xF4 && s[1] > 0x8F);
	return bad ? 0 : n;
}

void out_json(out_buf *o, const char *data, size_t size)
{
	const unsigned char *s = (const unsigned char *)data;
	out_bytes(o, "\"", 1);
	for (size_t i = 0, n; i < size; i += n) {
		n = utf8_size(s + i, size - i);
		if (n == 0) {
			out_text(o, "\xEF\xBF\xBD");
			n = 1;
		} else if (s[i] == '"' || s[i] == '\\') {
			out_fmt(o, "\\%c", s[i]);
		} else if (s[i] == '\n') {
			out_text(o, "\\n");
		} else if (s[i] < 0x20 || s[i] == 0x7F) {
			out_fmt(o, "\\u%04x", s[i]);
		} else {
			out_bytes(o, data + i, n);
		}
	}
	out_bytes(o, "\"", 1);
}

void out_base64(out_buf *o, const char *data, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	if (size > SIZE_MAX / 4)
		o->failed = true;
	if (!size || !out_reserve(o, (size + 2) / 3 * 4))
		return;
	for (size_t i = 0; i < size; i += 3) {
		size_t left = size - i;
		unsigned long bits = 0;
		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (k < left ? (unsigned char)data[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			o->data[o->size++] = k <= left ? digits[bits >> (18 - 6 * k) & 63] : '=';
	}
}

void out_json_text(out_buf *o, const char *text)
{
	out_json(o, text, strlen(text));
}

void out_json_or_null(out_buf *o, const char *text)
{
	if (text && *text)
		out_json_text(o, text);
	else
		out_text(o, "null");
}
