/* backend.c - video-codec/ffmpeg.so, found beside video-codec.so and opened once. */
#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "backend.h"

enum { LIBRARIES = 32 << 20 }; /* bytes, more than they take when they come */

/* By its whole path: a run path is not asked where a sanitizer calls dlopen in our place. Never closed. */
static void *open_half(void)
{
	static const char here;
	Dl_info me;
	char path[PATH_MAX];
	const char *slash = dladdr(&here, &me) ? strrchr(me.dli_fname, '/') : NULL;
	int n = slash ? snprintf(path, sizeof path, "%.*s/video-codec/ffmpeg.so", (int)(slash - me.dli_fname), me.dli_fname) : -1;
	return n > 0 && n < (int)sizeof path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
}

static sn_rc open_backend(video *v, const sn_call *call, sn_fault *fault)
{
	void *probe = kit_alloc(&v->host, LIBRARIES);
	if (!probe)
		return kit_fail(fault, SN_RC_NOMEM, "no memory for the libraries that read clips");
	kit_free(&v->host, probe);
	void *half = open_half();
	const backend *(*entry)(void) = NULL;
	if (half)
		*(void **)&entry = dlsym(half, "video_backend");
	if (!entry) {
		const char *why = dlerror();
		kit_logf(&v->host, call, SN_HOST_ERROR, "%s", why ? why : "ffmpeg.so is of another build");
		return kit_fail(fault, SN_RC_UNSUPPORTED, "the libraries that read clips are not installed");
	}
	atomic_store(&v->backend, entry());
	return SN_RC_OK;
}

sn_rc backend_of(video *v, const sn_call *call, const backend **out, sn_fault *fault)
{
	sn_rc rc = atomic_load(&v->backend) ? SN_RC_OK : open_backend(v, call, fault);
	*out = atomic_load(&v->backend);
	return rc;
}
