#include "base/error.h"

#include <string.h>

static sn_status fill(sn_error *err, sn_status status, const char *param, const char *fmt, va_list ap)
{
	if (err) {
		err->status = status;
		snprintf(err->param, sizeof err->param, "%s", param);
		vsnprintf(err->text, sizeof err->text, fmt, ap);
	}
	return status;
}

sn_status error_set(sn_error *err, sn_status status, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fill(err, status, "", fmt, ap);
	va_end(ap);
	return status;
}

sn_status error_param(sn_error *err, sn_status status, const char *param, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fill(err, status, param, fmt, ap);
	va_end(ap);
	return status;
}
