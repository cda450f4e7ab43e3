#include "fault.h"

#include <stdarg.h>
#include <stdio.h>

typedef struct fault_row {
	int status;
	int http;
	const char *type;
	const char *code; /* NULL renders null */
	unsigned retry_after;
} fault_row;

static const fault_row rows[] = {
	{SN_ERR_INVALID, 400, "invalid_request_error", NULL, 0},
	{SN_ERR_UNSUPPORTED, 400, "invalid_request_error", "unsupported", 0},
	{SN_ERR_CONTEXT_LENGTH, 400, "invalid_request_error", "context_length_exceeded", 0},
	{SN_ERR_NOT_FOUND, 404, "invalid_request_error", "model_not_found", 0},
	{SN_ERR_TOO_LARGE, 413, "invalid_request_error", "too_large", 0},
	{SN_ERR_MEDIA_TYPE, 415, "invalid_request_error", "unsupported_media_type", 0},
	{SN_ERR_QUEUE_FULL, 429, "rate_limit_error", "queue_full", 1},
	{SN_ERR_DRAINING, 503, "server_error", "unavailable", 1},
	{SN_ERR_DEADLINE, 503, "server_error", "deadline_exceeded", 1},
	{SN_ERR_CANCELLED, 499, "server_error", "cancelled", 0},
	{SN_ERR_NOMEM, 503, "server_error", "out_of_memory", 1},
	{SN_ERR_IO, 500, "server_error", NULL, 0},
	{SN_ERR_PLUGIN, 500, "server_error", "plugin_failed", 0},
	{SN_ERR_INTERNAL, 500, "server_error", NULL, 0},
	{FAULT_UNAUTHORIZED, 401, "invalid_request_error", "invalid_api_key", 0},
	{FAULT_FORBIDDEN, 403, "invalid_request_error", "forbidden", 0},
	{FAULT_NO_ROUTE, 404, "invalid_request_error", "not_found", 0},
	{FAULT_METHOD, 405, "invalid_request_error", "method_not_allowed", 0},
	{FAULT_TIMEOUT, 408, "invalid_request_error", "request_timeout", 0},
	{FAULT_CONTENT_TYPE, 415, "invalid_request_error", "unsupported_content_type", 0},
	{FAULT_EXPECTATION, 417, "invalid_request_error", NULL, 0},
	{FAULT_HEADERS, 431, "invalid_request_error", "headers_too_large", 0},
	{FAULT_HTTP_VERSION, 505, "invalid_request_error", NULL, 0},
	{FAULT_MEDIA_REFUSED, 422, "invalid_request_error", "media_not_fetched", 0},
	{FAULT_MEDIA_UNAVAILABLE, 503, "server_error", "media_unavailable", 1},
	{FAULT_CLIENT_GONE, 499, "server_error", NULL, 0},
};

static const fault_row *fault_find(int status)
{
	static const fault_row unknown = {0, 500, "server_error", NULL, 0};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].status == status)
			return &rows[i];
	return &unknown;
}

int fault_set(sn_error *err, int status, const char *param, const char *fmt, ...)
{
	if (!err)
		return status;
	err->status = (sn_status)status;
	snprintf(err->param, sizeof err->param, "%s", param ? param : "");
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	return status;
}

int fault_http_status(int status)
{
	return fault_find(status)->http;
}

unsigned fault_retry_after(int status)
{
	return fault_find(status)->retry_after;
}

bool fault_at(size_t i, int *http, const char **type, const char **code)
{
	if (i >= sizeof rows / sizeof *rows)
		return false;
	*http = rows[i].http;
	*type = rows[i].type;
	*code = rows[i].code;
	return true;
}

void fault_render(out_buf *o, const sn_error *err)
{
	const fault_row *row = fault_find(err->status);
	out_text(o, "{\"error\":{\"message\":");
	out_json_text(o, err->text);
	out_text(o, ",\"type\":");
	out_json_text(o, row->type);
	out_text(o, ",\"param\":");
	out_json_or_null(o, err->param);
	out_text(o, ",\"code\":");
	out_json_or_null(o, row->code);
	out_text(o, "}}");
}
