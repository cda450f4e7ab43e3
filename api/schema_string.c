/* schema_string.c - strings: of a length, with a pattern, of a format. */
#include <string.h>

#include "fields.h"
#include "json.h"
#include "schema_inside.h"

#define DATE "([1-9][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8])))"
#define TIME "(([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))"
#define OCTET "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
#define LABEL "[a-z0-9]([a-z0-9-]{0,29}[a-z0-9])?"
#define HOST "(" LABEL "(\\." LABEL "){0,2})"
#define PART "[A-Za-z0-9_+-]{1,20}"
#define CLOCK "T([0-9]{1,4}H([0-9]{1,4}M([0-9]{1,4}S)?)?|[0-9]{1,4}M([0-9]{1,4}S)?|[0-9]{1,4}S)"

static const struct { const char *name, *pattern; } formats[] = {
	{"date", "^" DATE "$"}, {"time", "^" TIME "$"}, {"date-time", "^" DATE "T" TIME "$"},
	{"duration", "^P(([0-9]{1,4}Y([0-9]{1,4}M([0-9]{1,4}D)?)?|[0-9]{1,4}M([0-9]{1,4}D)?|[0-9]{1,4}D)(" CLOCK ")?|" CLOCK "|[0-9]{1,4}W)$"},
	{"uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"}, {"ipv4", "^" OCTET "(\\." OCTET "){3}$"},
	{"ipv6", "^[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}$"}, {"hostname", "^" HOST "$"}, {"email", "^" PART "(\\." PART "){0,2}@" HOST "$"},
};

int schema_write_string(writer *w, const json_t *s, out_buf *rule)
{
	const json_t *pattern = json_object_get(s, "pattern"), *format = json_object_get(s, "format");
	uint32_t min, max;
	int rc = schema_read_count(w, s, "minLength", 0, &min);
	if (rc == SN_OK)
		rc = schema_read_count(w, s, "maxLength", UINT32_MAX, &max);
	if (rc != SN_OK)
		return rc;
	bool measured = min > 0 || max < UINT32_MAX;
	if (pattern && (measured || format))
		return unsupported(w, "the schema's pattern beside %s is not supported", format ? "format" : "minLength or maxLength");
	if (format && measured)
		return unsupported(w, "the schema's format beside minLength or maxLength is not supported");
	if (min > max)
		return unsupported(w, "the schema's minLength is above maxLength");
	const char *text = json_string_value(pattern);
	size_t size = json_string_length(pattern);
	if (pattern && !text)
		return invalid(w, "the schema's pattern must be a string");
	if (format) {
		const char *name = body_plain_string(format);
		for (size_t i = 0; name && !text && i < sizeof formats / sizeof *formats; i++)
			text = strcmp(name, formats[i].name) == 0 ? formats[i].pattern : NULL;
		if (!text)
			return unsupported(w, "the schema has a format that is not supported");
		size = strlen(text);
	}
	if (!text && !measured) {
		out_text(rule, " string");
		return SN_OK;
	}
	out_text(rule, " \"\\\"\"");
	if (text) {
		const char *why = grammar_pattern(rule, text, size);
		if (why)
			return unsupported(w, "the schema's pattern: %s", why);
	} else if (max == UINT32_MAX) {
		out_fmt(rule, " char{%u,}", min);
	} else {
		out_fmt(rule, " char{%u,%u}", min, max);
	}
	out_text(rule, " \"\\\"\"");
	return SN_OK;
}
