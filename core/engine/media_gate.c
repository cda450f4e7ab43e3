#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "engine/media.h"
#include "plugin/codec.h"

/* Media that are samples in time are limited by how long they are, two hours; OWN_RATE is reckoned with where nobody asks for a rate. */
enum { MAX_SECONDS = 2 * 3600, OWN_RATE = 48000 };
static const bool timed[] = {[SN_MEDIA_AUDIO] = true, [SN_MEDIA_DATA] = false};

static bool is_timed(uint32_t kind)
{
	return kind < sizeof timed / sizeof *timed && timed[kind];
}

/* Caps on one medium (reliability: limits come before allocation). */
sn_media_limits media_gate_limits(uint32_t kind, uint32_t rate)
{
	sn_media_limits l = {
	    .size = sizeof l, .max_width = 65535, .max_height = 65535, .max_frames = 256, .max_pixels = 40u << 20,
	    .max_bytes = 3ull * (40u << 20), .max_scans = 100, .max_channels = 8,
	};
	if (is_timed(kind)) {
		l.max_samples = (uint64_t)MAX_SECONDS * (rate ? rate : OWN_RATE);
		l.max_bytes = l.max_samples * sizeof(float);
	}
	return l;
}

uint32_t media_gate_seconds(uint32_t kind)
{
	return is_timed(kind) ? MAX_SECONDS : 0;
}

void media_gate_init(media_gate *g, plugin_host *host, metrics *m, sn_log *log, const hash_key *key, size_t max_bytes, uint32_t slots)
{
	*g = (media_gate){.host = host, .metrics = m, .log = log, .key = *key, .max_bytes = max_bytes, .slots = slots};
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->free_slot, NULL);
}

void media_gate_fini(media_gate *g)
{
	pthread_cond_destroy(&g->free_slot);
	pthread_mutex_destroy(&g->lock);
}

static plugin *find_codec(media_gate *g, const sn_part *part, const char **mime)
{
	size_t head = part->size < 64 ? part->size : 64;
	for (size_t i = 0, n = plugin_count(g->host); i < n; i++) {
		plugin *p = g->host->plugins[i];
		if (!p->instance || !p->decode || strcmp(p->decode->kind_name, part->kind_name) != 0)
			continue;
		*mime = p->decode->sniff((const uint8_t *)part->data, head);
		if (*mime)
			return p;
	}
	return NULL;
}

static bool same_type(const char *a, size_t n, const char *b, size_t m)
{
	return n == m && strncasecmp(a, b, n) == 0;
}

/* Types that mean the same, as the codec has it, are compared by what they mean. */
static bool mime_agrees(const sn_ext_decode *codec, const char *declared, const char *found)
{
	size_t n = strcspn(declared, "; \t"), m = strlen(found);
	if (same_type(declared, n, found, m))
		return true;
	const char *at = codec->size > SN_EXT_DECODE_MIN_SIZE && codec->aliases ? codec->aliases : "";
	while (*at) {
		size_t said = strcspn(at, "= "), pair = strcspn(at, " ");
		if (said < pair && same_type(declared, n, at, said) && same_type(found, m, at + said + 1, pair - said - 1))
			return true;
		at += pair;
		at += strspn(at, " ");
	}
	return false;
}

const char *media_gate_kind(const media_gate *g, const void *bytes, size_t n, const char *mime)
{
	const char *first = NULL;
	for (size_t i = 0, n_plugins = plugin_count(g->host); i < n_plugins; i++) {
		const plugin *p = g->host->plugins[i];
		const char *found = p->instance && p->decode ? p->decode->sniff(bytes, n < 64 ? n : 64) : NULL;
		if (found && (!mime || mime_agrees(p->decode, mime, found)))
			return p->decode->kind_name;
		if (found && !first)
			first = p->decode->kind_name;
	}
	return first;
}

static void take_slot(media_gate *g)
{
	pthread_mutex_lock(&g->lock);
	while (g->slots == 0)
		pthread_cond_wait(&g->free_slot, &g->lock);
	g->slots--;
	pthread_mutex_unlock(&g->lock);
}

static void give_slot(media_gate *g, size_t bytes)
{
	pthread_mutex_lock(&g->lock);
	g->slots++;
	g->held -= bytes;
	pthread_cond_signal(&g->free_slot);
	pthread_mutex_unlock(&g->lock);
}

static bool take_bytes(media_gate *g, uint64_t bytes)
{
	pthread_mutex_lock(&g->lock);
	bool ok = bytes <= g->max_bytes && g->held <= g->max_bytes - bytes;
	if (ok)
		g->held += bytes;
	pthread_mutex_unlock(&g->lock);
	return ok;
}

void media_gate_hash(const media_gate *g, sn_media *m)
{
	hasher h;
	hash_begin(&h, &g->key);
	const uint64_t shape[] = {m->kind, m->width, m->height, m->n_frames, m->rate, m->n_samples, m->bytes};
	hash_add(&h, shape, sizeof shape);
	hash_add(&h, m->samples, m->bytes);
	hash256 v = hash_end(&h);
	memcpy(m->hash, v.b, sizeof m->hash);
}

/* What measure said is not believed: encoders rely on it. */
static sn_status check_measured(plugin *p, const sn_media *m, const sn_media_limits *l, uint32_t rate, sn_error *err)
{
	if (m->kind != p->decode->kind || !sn_media_sound(m) || m->timestamps)
		return plugin_broke(p, err, "it measured a medium whose size and shape disagree");
	if (m->bytes > l->max_bytes || m->width > l->max_width || m->height > l->max_height || m->n_frames > l->max_frames ||
	    (l->max_samples && m->n_samples > l->max_samples))
		return plugin_broke(p, err, "it measured a medium over the limits and did not refuse it");
	if (rate && is_timed(m->kind) && m->rate != rate)
		return plugin_broke(p, err, "it measured a medium at another rate than it was asked for");
	return SN_OK;
}

/* The calls of one file: here, or in a helper. */
static sn_status decode(media_gate *g, codec_run *run, const sn_part *part, uint32_t rate, sn_media *out, sn_error *err)
{
	plugin *p = run->p;
	const sn_media_limits limits = media_gate_limits(p->decode->kind, rate);
	sn_fault fault = {.size = sizeof fault};
	*out = (sn_media){.size = sizeof *out, .rate = rate};
	metric_add(g->metrics, M_DECODES, 1);
	atomic_fetch_add(&p->calls, 1);
	sn_rc rc = codec_measure(run, &limits, out, &fault);
	if (rc != SN_RC_OK)
		return fault_to_error(p, rc, &fault, err);
	sn_status st = check_measured(p, out, &limits, rate, err);
	if (st)
		return st;
	if (out->bytes > g->max_bytes) /* it would not fit later either */
		return error_set(err, SN_ERR_TOO_LARGE, "the medium needs more memory than there is for all media (%zu bytes)", g->max_bytes);
	if (!take_bytes(g, out->bytes))
		return error_set(err, SN_ERR_QUEUE_FULL, "too much media is being decoded at the moment");
	uint64_t reserved = out->bytes;
	void *samples = out->samples = calloc(1, out->bytes); /* zeroed: what a codec forgets to fill must not be another's */
	const sn_media measured = *out;
	rc = samples ? codec_decode(run, &limits, out, &fault) : SN_RC_NOMEM;
	sn_status broke = SN_OK;
	if (rc == SN_RC_OK && memcmp(&measured, out, offsetof(sn_media, hash)) != 0)
		broke = plugin_broke(p, err, "it decoded another shape than it had measured");
	if (rc == SN_RC_OK && !broke) {
		plugin_worked(p);
		atomic_fetch_add(&p->media_bytes, part->size);
		media_gate_hash(g, out);
		return SN_OK;
	}
	free(samples);
	out->samples = NULL;
	pthread_mutex_lock(&g->lock);
	g->held -= reserved;
	pthread_mutex_unlock(&g->lock);
	if (broke)
		return broke;
	return rc == SN_RC_NOMEM && !*fault.text ? error_set(err, SN_ERR_NOMEM, "no memory to decode the media") : fault_to_error(p, rc, &fault, err);
}

sn_status media_gate_decode(media_gate *g, const sn_part *part, uint32_t rate, const char *request_id, sn_media *out, sn_error *err)
{
	const char *mime = NULL;
	plugin *p = find_codec(g, part, &mime);
	struct sn_call call = {request_id};
	sn_status st;
	if (!p) {
		st = error_param(err, SN_ERR_MEDIA_TYPE, "messages", "no codec takes these bytes as %s", part->kind_name);
	} else if (part->mime && !mime_agrees(p->decode, part->mime, mime)) {
		st = error_param(err, SN_ERR_MEDIA_TYPE, "messages", "the declared media type does not agree with the content (%s)", mime);
	} else {
		take_slot(g);
		codec_run run = codec_begin(g->host, p, &call, part->data, part->size);
		st = decode(g, &run, part, rate, out, err);
		codec_end(&run);
		if (st) {
			give_slot(g, 0);
			if (err)
				snprintf(err->param, sizeof err->param, "messages");
		}
	}
	if (st)
		metric_add(g->metrics, M_MEDIA_REFUSED, 1);
	else if (is_timed(out->kind))
		log_info(g->log, "media", request_id, "%s %.1f s, %zu bytes", mime, (double)out->n_samples / out->rate, part->size);
	else
		log_info(g->log, "media", request_id, "%s %ux%u, %zu bytes", mime, out->width, out->height, part->size);
	return st;
}

void media_gate_release(media_gate *g, sn_media *media)
{
	free(media->samples);
	media->samples = NULL;
	give_slot(g, media->bytes);
}

void media_gate_park(media_gate *g)
{
	give_slot(g, 0);
}

void media_gate_resume(media_gate *g)
{
	take_slot(g);
}

void media_gate_forget(media_gate *g, sn_media *media)
{
	free(media->samples);
	media->samples = NULL;
	pthread_mutex_lock(&g->lock);
	g->held -= media->bytes;
	pthread_mutex_unlock(&g->lock);
}
