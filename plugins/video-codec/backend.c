/* backend.c - video-codec/ffmpeg.so, found beside video-codec.so and opened once. */
#include <dlfcn.h>

#include "backend.h"

enum { LIBRARIES = 32 << 20 }; /* bytes, more than they take when they come */

static sn_rc open_backend(video *v, const sn_call *call, sn_fault *fault)
{
	void *probe = kit_alloc(&v->host, LIBRARIES);
	if (!probe)
		return kit_fail(fault, SN_RC_NOMEM, "no memory for the libraries that read clips");
	kit_free(&v->host, probe);
	void *half = dlopen("ffmpeg.so", RTLD_NOW | RTLD_LOCAL); /* by the run path of video-codec.so; never closed */
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
