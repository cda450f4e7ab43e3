#include <math.h>
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

/* One call over a clip may take a minute: what is decoded to get at some frames is up to the file. */
enum { CLIP_MS = 60000, CLIP_FRAMES = 1000, CLIP_TRACK_FRAMES = 1 << 20 };

sn_clip_limits media_gate_clip_limits(const media_gate *g)
{
	return (sn_clip_limits){
	    .size = sizeof(sn_clip_limits), .max_ms = CLIP_MS, .max_width = 16384, .max_height = 16384, .max_pixels = 40u << 20,
	    .max_track_frames = CLIP_TRACK_FRAMES, .max_seconds = MAX_SECONDS, .max_bytes = g->max_bytes, .max_frames = CLIP_FRAMES,
	};
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

/* Plugins that read files of a kind: whole, or as clips. */
typedef const char *sniff_fn(const plugin *p, const char *kind_name, const uint8_t *head, size_t n);

static const char *sniff_whole(const plugin *p, const char *kind_name, const uint8_t *head, size_t n)
{
	return p->decode && strcmp(p->decode->kind_name, kind_name) == 0 ? p->decode->sniff(head, n) : NULL;
}

static const char *sniff_clip(const plugin *p, const char *kind_name, const uint8_t *head, size_t n)
{
	return p->clip && strcmp(p->clip->kind_name, kind_name) == 0 ? p->clip->sniff(head, n) : NULL;
}

static plugin *find_codec(media_gate *g, const sn_part *part, sniff_fn *sniff, const char **mime)
{
	size_t head = part->size < 64 ? part->size : 64;
	for (size_t i = 0, n = plugin_count(g->host); i < n; i++) {
		plugin *p = g->host->plugins[i];
		*mime = p->instance ? sniff(p, part->kind_name, (const uint8_t *)part->data, head) : NULL;
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
static bool mime_agrees(const char *aliases, const char *declared, const char *found)
{
	size_t n = strcspn(declared, "; \t"), m = strlen(found);
	if (same_type(declared, n, found, m))
		return true;
	const char *at = aliases ? aliases : "";
	while (*at) {
		size_t said = strcspn(at, "= "), pair = strcspn(at, " ");
		if (said < pair && same_type(declared, n, at, said) && same_type(found, m, at + said + 1, pair - said - 1))
			return true;
		at += pair;
		at += strspn(at, " ");
	}
	return false;
}

static const char *aliases_of(const sn_ext_decode *codec)
{
	return codec->size > SN_EXT_DECODE_MIN_SIZE ? codec->aliases : NULL;
}

/* A file may be a picture, a clip and the clip's sound alone: what its type says, then the picture, then the clip, then the rest. */
enum { RANK_OTHER = 1, RANK_CLIP, RANK_PICTURE, RANK_ALIAS = 4, RANK_EXACT = 8 };

static int rank_of(int rank, const char *aliases, const char *mime, const char *found)
{
	if (!found)
		return 0;
	if (mime && same_type(mime, strcspn(mime, "; \t"), found, strlen(found)))
		return rank + RANK_EXACT;
	return rank + (mime && mime_agrees(aliases, mime, found) ? RANK_ALIAS : 0);
}

const char *media_gate_kind(const media_gate *g, const void *bytes, size_t n, const char *mime)
{
	const char *best = NULL;
	int most = 0;
	n = n < 64 ? n : 64;
	for (size_t i = 0, n_plugins = plugin_count(g->host); i < n_plugins; i++) {
		const plugin *p = g->host->plugins[i];
		int whole = !p->instance || !p->decode ? 0
		                                       : rank_of(p->decode->kind == SN_MEDIA_IMAGE ? RANK_PICTURE : RANK_OTHER, aliases_of(p->decode), mime,
		                                                 p->decode->sniff(bytes, n));
		int clip = !p->instance || !p->clip ? 0 : rank_of(RANK_CLIP, p->clip->aliases, mime, p->clip->sniff(bytes, n));
		if (whole > most) {
			most = whole;
			best = p->decode->kind_name;
		}
		if (clip > most) {
			most = clip;
			best = p->clip->kind_name;
		}
	}
	return best;
}

static void drop_samples(sn_media *m)
{
	free(m->samples);
	free(m->timestamps);
	m->samples = NULL;
	m->timestamps = NULL;
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

static void drop_bytes(media_gate *g, uint64_t bytes)
{
	pthread_mutex_lock(&g->lock);
	g->held -= bytes;
	pthread_mutex_unlock(&g->lock);
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
	drop_bytes(g, reserved);
	if (broke)
		return broke;
	return rc == SN_RC_NOMEM && !*fault.text ? error_set(err, SN_ERR_NOMEM, "no memory to decode the media") : fault_to_error(p, rc, &fault, err);
}

static sn_status check_type(const sn_part *part, const plugin *p, const char *aliases, const char *mime, sn_error *err)
{
	if (!p)
		return error_param(err, SN_ERR_MEDIA_TYPE, "messages", "no codec takes these bytes as %s", part->kind_name);
	if (part->mime && !mime_agrees(aliases, part->mime, mime))
		return error_param(err, SN_ERR_MEDIA_TYPE, "messages", "the declared media type does not agree with the content (%s)", mime);
	return SN_OK;
}

sn_status media_gate_decode(media_gate *g, const sn_part *part, uint32_t rate, const char *request_id, sn_media *out, sn_error *err)
{
	const char *mime = NULL;
	plugin *p = find_codec(g, part, sniff_whole, &mime);
	struct sn_call call = {request_id};
	sn_status st = check_type(part, p, p ? aliases_of(p->decode) : NULL, mime, err);
	if (!st) {
		take_slot(g);
		codec_run run = codec_begin(g->host, p, &call, part->data, part->size);
		st = decode(g, &run, part, rate, out, err);
		codec_end(&run, st != SN_ERR_PLUGIN);
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

/* ---- clips ---- */

static sn_status check_looked(plugin *p, const sn_clip_info *i, const sn_clip_limits *l, sn_error *err)
{
	if (!i->width || !i->height || !i->n_frames || !(i->seconds >= 0) || !isfinite(i->seconds) || !(i->fps >= 0) || !isfinite(i->fps))
		return plugin_broke(p, err, "it looked at a clip and saw none");
	if (i->width > l->max_width || i->height > l->max_height || (uint64_t)i->width * i->height > l->max_pixels ||
	    i->n_frames > l->max_track_frames || i->seconds > l->max_seconds)
		return plugin_broke(p, err, "it looked at a clip over the limits and did not refuse it");
	return SN_OK;
}

static sn_status read_frames(codec_run *run, const sn_clip_limits *l, const sn_clip_wish *wish, sn_media *out, sn_error *err)
{
	sn_fault fault = {.size = sizeof fault};
	out->samples = calloc(1, out->bytes); /* zeroed: what a codec forgets to fill must not be another's */
	out->timestamps = calloc(out->n_frames, sizeof *out->timestamps);
	if (!out->samples || !out->timestamps)
		return error_set(err, SN_ERR_NOMEM, "no memory to decode the media");
	const sn_media asked = *out;
	sn_rc rc = codec_read(run, l, wish, out, &fault);
	bool same = memcmp(&asked, out, offsetof(sn_media, hash)) == 0;
	*out = asked;
	if (rc != SN_RC_OK)
		return fault_to_error(run->p, rc, &fault, err);
	for (uint32_t i = 0; i < out->n_frames && same; i++)
		same = isfinite(out->timestamps[i]);
	return same ? SN_OK : plugin_broke(run->p, err, "it read other frames than it was asked for");
}

static sn_status watch(media_gate *g, codec_run *run, const sn_part *part, clip_choose *choose, void *ctx, sn_clip_info *info, sn_media *out,
                       sn_error *err)
{
	plugin *p = run->p;
	const sn_clip_limits limits = media_gate_clip_limits(g);
	sn_clip_wish wish = {.size = sizeof wish};
	sn_fault fault = {.size = sizeof fault};
	*out = (sn_media){.size = sizeof *out};
	*info = (sn_clip_info){.size = sizeof *info};
	metric_add(g->metrics, M_DECODES, 1);
	atomic_fetch_add(&p->calls, 1);
	sn_rc rc = codec_look(run, &limits, info, &fault);
	if (rc != SN_RC_OK)
		return fault_to_error(p, rc, &fault, err);
	sn_status st = check_looked(p, info, &limits, err);
	if (!st)
		st = choose(ctx, info, &wish, err);
	if (st)
		return st;
	if (!sn_clip_shape(info, &wish, out) || out->bytes > g->max_bytes) /* it would not fit later either */
		return error_set(err, SN_ERR_TOO_LARGE, "the clip's frames need more memory than there is for all media (%zu bytes)", g->max_bytes);
	if (!take_bytes(g, out->bytes))
		return error_set(err, SN_ERR_QUEUE_FULL, "too much media is being decoded at the moment");
	st = read_frames(run, &limits, &wish, out, err);
	if (st) {
		drop_samples(out);
		drop_bytes(g, out->bytes);
		return st;
	}
	plugin_worked(p);
	atomic_fetch_add(&p->media_bytes, part->size);
	return SN_OK;
}

sn_status media_gate_watch(media_gate *g, const sn_part *part, clip_choose *choose, void *ctx, const char *request_id, sn_clip_info *info,
                           sn_media *out, sn_error *err)
{
	const char *mime = NULL;
	plugin *p = find_codec(g, part, sniff_clip, &mime);
	struct sn_call call = {request_id};
	sn_status st = check_type(part, p, p ? p->clip->aliases : NULL, mime, err);
	if (!st) {
		take_slot(g);
		codec_run run = codec_begin(g->host, p, &call, part->data, part->size);
		st = watch(g, &run, part, choose, ctx, info, out, err);
		codec_end(&run, st != SN_ERR_PLUGIN);
		if (st) {
			give_slot(g, 0);
			if (err)
				snprintf(err->param, sizeof err->param, "messages");
		}
	}
	if (st)
		metric_add(g->metrics, M_MEDIA_REFUSED, 1);
	else
		log_info(g->log, "media", request_id, "%s %ux%u, %u of %u frames, %.1f s, %zu bytes", mime, info->width, info->height, out->n_frames,
		         info->n_frames, info->seconds, part->size);
	return st;
}

sn_media media_gate_group(const media_gate *g, const sn_media *clip, uint32_t first, uint32_t n)
{
	sn_media m = *clip;
	size_t frame = (size_t)(clip->bytes / clip->n_frames);
	m.samples = (uint8_t *)clip->samples + first * frame;
	m.n_frames = n;
	m.bytes = n * frame;
	m.timestamps = NULL;
	media_gate_hash(g, &m);
	return m;
}

void media_gate_release(media_gate *g, sn_media *media)
{
	drop_samples(media);
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
	drop_samples(media);
	drop_bytes(g, media->bytes);
}
