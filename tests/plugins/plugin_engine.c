/* plugin_engine.c - see plugin_engine.h. */
#include "plugin_engine.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/engine.h"

void folder_open(folder *f)
{
	strcpy(f->path, "/tmp/sn-plugins-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	assert_int_equal(chmod(f->path, 0755), 0);
}

void folder_add(const folder *f, const char *from, const char *as)
{
	char to[512], block[65536];
	const char *slash = strrchr(from, '/');
	snprintf(to, sizeof to, "%s/%s", f->path, as ? as : slash ? slash + 1 : from);
	FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
	if (!in || !out)
		fail_msg("cannot copy %s to %s", from, to);
	for (size_t n; (n = fread(block, 1, sizeof block, in)) > 0;)
		assert_int_equal(fwrite(block, 1, n, out), n);
	fclose(in);
	fclose(out);
	chmod(to, 0644);
}

void folder_close(folder *f)
{
	char path[512];
	DIR *d = opendir(f->path);
	for (struct dirent *e; d && (e = readdir(d));) {
		snprintf(path, sizeof path, "%s/%s", f->path, e->d_name);
		unlink(path);
	}
	if (d)
		closedir(d);
	rmdir(f->path);
}

sn_engine *mini_open(const char *plugin_dir, sn_log *log, sn_engine_config c)
{
	sn_engine *e = NULL;
	sn_error err = {0};
	c.log = log;
	c.plugin_dir = plugin_dir;
	c.kv_cache_memory = 64u << 20;
	const sn_model_config m = {.name = "mini", .path = GOLDEN_DIR "/model.gguf"};
	if (sn_engine_open(&e, &c, &err) || sn_engine_load(e, &m, &err) || sn_engine_start(e, &err))
		fail_msg("%s", err.text);
	return e;
}

sn_status mini_submit(sn_engine *e, const question *q, sn_request **r, sn_error *err)
{
	sn_part parts[2] = {{.kind = SN_PART_MEDIA, .kind_name = q->kind, .data = q->data, .size = q->size},
	                    {.kind = SN_PART_TEXT, .data = q->text, .size = strlen(q->text)}};
	const sn_message m = {.role = "user", .parts = q->kind ? parts : parts + 1, .n_parts = q->kind ? 2 : 1};
	sn_chat chat = {.request_id = "test", .messages = &m, .n_messages = 1};
	sn_sampling_init(&chat.sampling);
	chat.sampling.temperature = 0;
	chat.sampling.max_tokens = q->max_tokens ? q->max_tokens : 1;
	chat.sampling.ignore_eos = true;
	chat.sampling.logprobs = true;
	chat.sampling.top_logprobs = SN_MAX_TOP_LOGPROBS;
	return sn_chat_submit(e, &chat, r, err);
}

void mini_wait(sn_request *r, reply *out)
{
	sn_event ev;
	for (;;) {
		sn_event_kind k = sn_request_next(r, 20000, &ev);
		assert_int_not_equal(k, SN_EVENT_NONE);
		if (k == SN_EVENT_ERROR) {
			out->status = ev.error.status;
			out->error = ev.error;
			return;
		}
		if (k == SN_EVENT_DONE) {
			out->usage = ev.usage;
			return;
		}
		for (size_t i = 0; i < ev.n_logprobs && out->n < 64; i++, out->n++) {
			out->ids[out->n] = ev.logprobs[i].self.token;
			out->logprobs[out->n][0] = ev.logprobs[i].self.logprob;
			for (uint32_t t = 0; t < ev.logprobs[i].n_top; t++)
				out->logprobs[out->n][1 + t] = ev.logprobs[i].top[t].logprob;
		}
	}
}

void mini_ask(sn_engine *e, const question *q, reply *out)
{
	sn_request *r = NULL;
	memset(out, 0, sizeof *out);
	out->status = mini_submit(e, q, &r, &out->error);
	if (out->status == SN_OK) {
		mini_wait(r, out);
		sn_request_close(&r);
		if (e->buffers.logits) /* the engine rests: nobody else asks */
			memcpy(out->logits, e->buffers.logits, sizeof out->logits);
	}
}

sn_plugin_info mini_plugin(sn_engine *e, const char *id)
{
	sn_plugin_info list[256];
	size_t n = sn_engine_plugins(e, list, 256);
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].id, id) == 0)
			return list[i];
	fail_msg("%s is not in the list", id);
	return (sn_plugin_info){0};
}
