#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"

#define LINE_BYTES 1536

struct sn_log {
	sn_log_config config;
};

sn_status sn_log_open(sn_log **out, const sn_log_config *config, sn_error *err)
{
	sn_log *log = calloc(1, sizeof *log);
	if (!log)
		return error_set(err, SN_ERR_NOMEM, "no memory for the log");
	log->config = *config;
	*out = log;
	return SN_OK;
}

void sn_log_close(sn_log **log)
{
	free(*log);
	*log = NULL;
}

/* Length of the valid UTF-8 character at s, 0 if it is not one. */
static size_t utf8_length(const unsigned char *s, size_t n)
{
	if (s[0] < 0x80)
		return 1;
	size_t len = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
	if (s[0] < 0xC2 || s[0] > 0xF4 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xC0) != 0x80)
			return 0;
	if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90) ||
	    (s[0] == 0xF4 && s[1] > 0x8F))
		return 0;
	return len;
}

/* Copies text so that a line stays one line in any terminal and, in JSON, one string. Returns the new length. */
static size_t escape(char *dst, size_t cap, const char *text, bool json)
{
	size_t n = 0, left = strlen(text);
	const unsigned char *s = (const unsigned char *)text;
	while (left) {
		char tmp[8];
		size_t take = utf8_length(s, left), len;
		bool c1 = take == 2 && s[0] == 0xC2 && s[1] < 0xA0; /* C1 controls: CSI lives there */
		if (take == 0) {
			len = (size_t)snprintf(tmp, sizeof tmp, json ? "\\u00%02x" : "\\x%02x", s[0]);
			take = 1;
		} else if (s[0] < 0x20 || s[0] == 0x7F || c1) {
			len = (size_t)snprintf(tmp, sizeof tmp, json ? "\\u00%02x" : "\\x%02x", c1 ? s[1] : s[0]);
		} else if (json && (s[0] == '"' || s[0] == '\\')) {
			len = (size_t)snprintf(tmp, sizeof tmp, "\\%c", s[0]);
		} else {
			memcpy(tmp, s, take);
			len = take;
		}
		if (n + len + 1 > cap)
			break;
		memcpy(dst + n, tmp, len);
		n += len;
		s += take;
		left -= take;
	}
	dst[n] = 0;
	return n;
}

void sn_log_write(sn_log *log, sn_log_level level, const char *topic, const char *request_id, const char *fmt, ...)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	if (!log || level < log->config.level)
		return;
	char raw[1024], text[1152], id[160], name[64], line[LINE_BYTES];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof raw, fmt, ap);
	va_end(ap);
	bool json = log->config.json;
	escape(text, sizeof text, raw, json);
	escape(id, sizeof id, request_id ? request_id : "", json);
	escape(name, sizeof name, topic, json); /* plugins choose theirs */

	struct timespec now;
	struct tm tm;
	char stamp[32];
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);

	int n;
	if (json)
		n = snprintf(line, sizeof line, "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"topic\":\"%s\",\"request\":\"%s\",\"text\":\"%s\"}\n",
		             stamp, now.tv_nsec / 1000000, names[level], name, id, text);
	else
		n = snprintf(line, sizeof line, "%s.%03ldZ %-5s %-8s %s%s%s\n", stamp, now.tv_nsec / 1000000, names[level], name, id,
		             *id ? " " : "", text);
	if (n > 0 && (size_t)n >= sizeof line) {
		n = sizeof line;
		line[sizeof line - 1] = '\n';
	}
	/* A log that cannot be written must not stop the server; there is nowhere left to say so. */
	if (write(log->config.fd, line, (size_t)n) < 0)
		return;
}
