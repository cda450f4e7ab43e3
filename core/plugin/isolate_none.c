/* isolate_none.c - isolate.h on systems whose means we do not know: it is refused, not imitated. */
#include "base/error.h"
#include "plugin/isolate.h"

sn_status isolate_open(isolate **out, plugin_host *h, metrics *m, const char *program, const char *const *argv, uint32_t timeout_ms, sn_error *err)
{
	(void)out, (void)h, (void)m, (void)program, (void)argv, (void)timeout_ms;
	return error_set(err, SN_ERR_UNSUPPORTED, "--isolate-codecs: on Linux only; off runs codecs in the server");
}

void isolate_end(isolate *x)
{
	(void)x;
}

void isolate_close(isolate **x)
{
	(void)x;
}

sn_rc isolate_call(codec_run *r, wire_call *c, const wire_out *out, sn_fault *fault)
{
	(void)r, (void)c, (void)out;
	return host_fault(fault, SN_RC_UNSUPPORTED, SN_BLAME_RESOURCE, "codecs can be isolated on Linux only");
}

void isolate_done(codec_run *r, bool trusted)
{
	(void)r, (void)trusted;
}

int sn_codec_helper(void)
{
	return 1;
}
