/* schema_array.c - arrays: items, the first of which may have schemas of their own, within counts. */
#include "schema_inside.h"

int schema_write_array(writer *w, const json_t *s, unsigned me, out_buf *rule)
{
	const json_t *items = json_object_get(s, "items"), *prefix = json_object_get(s, "prefixItems");
	uint32_t min, max, n = (uint32_t)json_array_size(prefix);
	unsigned more = 0, one;
	bool any = !items || json_is_true(items), none = json_is_false(items);
	int rc = schema_read_count(w, s, "minItems", 0, &min);
	if (rc == SN_OK)
		rc = schema_read_count(w, s, "maxItems", UINT32_MAX, &max);
	if (rc == SN_OK && json_is_array(items))
		rc = unsupported(w, "the schema's items as a list is not supported: prefixItems is");
	if (rc == SN_OK && prefix && !json_is_array(prefix))
		rc = invalid(w, "the schema's prefixItems must be a list");
	if (rc == SN_OK && (min > max || (none && min > n)))
		rc = unsupported(w, "the schema's minItems leaves no array");
	if (rc == SN_OK && !any && !none && max > n)
		rc = schema_rule_for(w, items, &more);
	if (rc != SN_OK)
		return rc;
	max = none && max > n ? n : max;
	/* t<i>: what comes behind i items */
	out_buf tails = {0};
	for (uint32_t i = 0; i < n && i < max && rc == SN_OK; i++) {
		rc = schema_rule_for(w, json_array_get(prefix, i), &one);
		out_fmt(&tails, "s%u-t%u ::=%s ws s%u s%u-t%u%s\n", me, i, i ? " \",\"" : "", one, me, i + 1, i >= min ? (i ? " | ws \"]\"" : " | \"]\"") : "");
	}
	uint32_t k = n < max ? n : max;
	char item[24];
	snprintf(item, sizeof item, any ? "any" : "s%u", more);
	out_fmt(&tails, "s%u-t%u ::=", me, k);
	if (k == max) {
		out_text(&tails, k ? " ws" : "");
	} else {
		uint32_t least = min > k ? min - k : 0, most = max == UINT32_MAX ? UINT32_MAX : max - k;
		if (k == 0) { /* the first has no comma */
			out_fmt(&tails, " (ws %s", item);
			least -= least > 0;
			most -= most < UINT32_MAX;
		}
		if (most == UINT32_MAX)
			out_fmt(&tails, " (\",\" ws %s){%u,}", item, least);
		else
			out_fmt(&tails, " (\",\" ws %s){%u,%u}", item, least, most);
		out_text(&tails, k == 0 ? (min ? " ws)" : " ws)?") : " ws");
	}
	out_text(&tails, " \"]\"\n");
	out_fmt(rule, " \"[\" s%u-t0", me);
	if (tails.failed)
		w->out->failed = true;
	else
		out_bytes(w->out, tails.data, tails.size);
	out_fini(&tails);
	return rc;
}
