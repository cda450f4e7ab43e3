/* watch_case.h - what the tests of siglip's clips share: the plugin around a tower of one narrow layer, and the whole way of a file. */
#ifndef TESTS_WATCH_CASE_H
#define TESTS_WATCH_CASE_H

#include <sensorium/ext/encode.h>
#include <sensorium/ext/watch.h>

#include "fake_host.h"

enum { WATCH_MOST = 1000, WATCH_KEYS = 18 };

typedef struct watcher {
	fake_host host;
	fake_key keys[WATCH_KEYS];
	sn_model model;
	const sn_plugin *plugin;
	const sn_ext_plan *plan;
	const sn_ext_watch *watch;
	void *instance;
	sn_fault fault;
	sn_rc rc; /* of load */
} watcher;

/* longest 0: no key, likewise fps and most. */
void open_watcher(watcher *w, uint32_t side, uint32_t n_rows, uint32_t longest, double fps, uint32_t most);
void close_watcher(watcher *w);
sn_rc sample(watcher *w, const sn_clip_info *info, const sn_watch_options *o, uint32_t cap, uint32_t *frames, sn_watch_sample *s);
/* The clip's text with "<image>" written out n_rows times in each hole. malloc'ed. */
char *whole_text(watcher *w, const sn_watch_clip *clip, uint32_t n_rows, uint32_t *bytes);

/* What became of a file. */
typedef struct watched {
	sn_clip_info info;
	sn_watch_sample sample;
	uint32_t frames[WATCH_MOST];
	sn_media media; /* samples and timestamps are malloc'ed, */
	char *text;     /* as is this */
	uint32_t text_bytes;
} watched;

/* Looked at, sampled, read and told, with the clips of clip_case.h. A refusal fails the test. */
void watch_file(watcher *w, const uint8_t *bytes, size_t n, const sn_watch_options *o, uint32_t n_rows, watched *out);
void watched_drop(watched *w);

#endif
