/* check_codec.c - "sn.decode/1" under `plugins --check`: samples decoded twice, limits at their edges, and garbage. Input ends
 * at a forbidden page and is read-only; samples end at a forbidden page too. */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin/check.h"

enum { MAX_SAMPLE = 64 << 20, MAX_GARBAGE = 1 << 16, THREADS = 4, ROUNDS = 10 };

/* What garbage may claim: enough to be decoded, not so much that checking takes minutes. */
static const sn_media_limits SMALL = {.size = sizeof SMALL, .max_width = 65535, .max_height = 65535, .max_frames = 256, .max_pixels = 1 << 22,
                                      .max_bytes = 1 << 24, .max_samples = 1 << 22, .max_scans = 100, .max_channels = 8};

static uint64_t next(uint64_t *s)
{
	uint64_t z = *s += 0x9E3779B97F4A7C15u;
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return z ^ z >> 31;
}

bool sample_read(check *c, size_t i, sample *out)
{
	struct stat st;
	*out = (sample){0};
	if (i >= c->config->n_samples)
		return false;
	int fd = open(c->config->samples[i], O_RDONLY | O_CLOEXEC);
	bool ok = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size <= MAX_SAMPLE;
	if (ok) {
		out->n = (size_t)st.st_size;
		out->bytes = malloc(out->n);
		ok = out->bytes && read(fd, out->bytes, out->n) == (ssize_t)out->n;
	}
	if (fd >= 0)
		close(fd);
	if (!ok) {
		free(out->bytes);
		out->bytes = NULL;
		check_lacks(c, "--sample: file %zu cannot be read", i + 1);
	}
	return ok;
}

static sn_rc measure(life *l, const uint8_t *bytes, size_t n, const sn_media_limits *limits, sn_media *media, sn_fault *fault)
{
	*fault = (sn_fault){.size = sizeof *fault};
	*media = (sn_media){.size = sizeof *media, .rate = l->wanted_rate};
	check_enter(l->c->host, IN_ANY);
	sn_rc rc = l->codec->measure(l->instance, NULL, bytes, n, limits, media, fault);
	check_leave(l->c->host);
	return rc;
}

static sn_rc decode(life *l, const uint8_t *bytes, size_t n, const sn_media_limits *limits, sn_media *media, sn_fault *fault)
{
	*fault = (sn_fault){.size = sizeof *fault};
	check_enter(l->c->host, IN_ANY);
	sn_rc rc = l->codec->decode(l->instance, NULL, bytes, n, limits, media, fault);
	check_leave(l->c->host);
	return rc;
}

bool sample_decode(life *l, const sample *s, sn_media *out)
{
	sn_fault fault;
	if (measure(l, s->bytes, s->n, &SMALL, out, &fault) != SN_RC_OK || out->bytes > SMALL.max_bytes)
		return false;
	out->samples = calloc(1, out->bytes);
	if (out->samples && decode(l, s->bytes, s->n, &SMALL, out, &fault) == SN_RC_OK)
		return true;
	free(out->samples);
	out->samples = NULL;
	return false;
}

/* What measure said must be sound, and within the limits that it was given. */
static bool believable(life *l, const sn_media *m, const sn_media_limits *limits)
{
	if (m->kind != l->codec->kind || m->samples || m->timestamps)
		return check_fails(l->c, "measure gave another kind than the codec's, or set pointers");
	if (m->kind == SN_MEDIA_AUDIO && l->wanted_rate && m->rate != l->wanted_rate)
		return check_fails(l->c, "measure gave %u Hz where %u were wanted", m->rate, l->wanted_rate);
	if (!sn_media_sound(m))
		return check_fails(l->c, "measure gave a size of samples that its shape does not have");
	if ((limits->max_width && m->width > limits->max_width) || (limits->max_height && m->height > limits->max_height) ||
	    (limits->max_frames && m->n_frames > limits->max_frames) || (limits->max_bytes && m->bytes > limits->max_bytes) ||
	    (limits->max_samples && m->n_samples > limits->max_samples) ||
	    (limits->max_pixels && (uint64_t)m->width * m->height > limits->max_pixels))
		return check_fails(l->c, "measure accepted a file over a limit");
	return true;
}

/* Both calls over one input. filled: where the samples went, if they did. False: the check has failed. */
static bool try_file(life *l, const guarded *in, const sn_media_limits *limits, uint8_t fill, guarded *filled, sn_rc *rc)
{
	sn_media media;
	sn_fault fault;
	guarded out = {0};
	*rc = measure(l, in->p, in->n, limits, &media, &fault);
	if (*rc != SN_RC_OK)
		return check_fault(l->c, "measure", *rc, &fault) &&
		       (*rc != SN_RC_INTERNAL || check_fails(l->c, "a file is blamed on the plugin itself (SN_RC_INTERNAL): %.200s", fault.text));
	if (!believable(l, &media, limits))
		return false;
	if (!guarded_open(&out, media.bytes))
		return check_fails(l->c, "no memory for the samples");
	memset(out.p, fill, out.n);
	sn_media before = media;
	before.samples = media.samples = out.p;
	*rc = decode(l, in->p, in->n, limits, &media, &fault);
	bool ok = guarded_intact(&out) || check_fails(l->c, "decode wrote before its samples");
	if (ok && *rc != SN_RC_OK)
		ok = check_fault(l->c, "decode", *rc, &fault) &&
		     (*rc != SN_RC_INTERNAL || check_fails(l->c, "a file is blamed on the plugin itself (SN_RC_INTERNAL): %.200s", fault.text));
	else if (ok && memcmp(&before, &media, sizeof media) != 0)
		ok = check_fails(l->c, "decode changed what measure had found");
	if (ok && filled && *rc == SN_RC_OK)
		*filled = out;
	else
		guarded_close(&out);
	return ok;
}

/* A codec of the file, started, with its first sample sealed. The caller closes all three. */
static bool codec_open(check *c, const sn_plugin *d, life *l)
{
	return d->extension(SN_EXT_DECODE) && life_start(l, c, d);
}

bool sample_guarded(check *c, size_t i, guarded *in)
{
	sample s;
	if (!sample_read(c, i, &s))
		return false;
	bool ok = guarded_open(in, s.n) || check_fails(c, "no memory for a sample");
	if (ok)
		memcpy(in->p, s.bytes, s.n);
	free(s.bytes);
	return ok;
}

static bool claims(const life *l, const guarded *in)
{
	size_t head = in->n < 64 ? in->n : 64;
	guarded first;
	bool yes = false;
	if (guarded_open(&first, head)) { /* sniff sees no more than this */
		memcpy(first.p, in->p, head);
		guarded_seal(&first);
		const char *type = l->codec->sniff(first.p, head);
		size_t n = type ? strlen(type) : 0;
		const char *at = type ? strstr(l->codec->media_types, type) : NULL;
		yes = type && ((at && (at[n] == 0 || at[n] == ' ')) || check_fails(l->c, "sniff gave %.60s, which is not among its media_types", type));
		guarded_close(&first);
	}
	return yes;
}

/* ---- samples ---- */

static bool same_twice_at(life *l, guarded *in, uint32_t rate)
{
	guarded a = {0}, b = {0};
	sn_rc rc;
	l->wanted_rate = rate;
	guarded_seal(in);
	bool ok = try_file(l, in, &SMALL, 0x00, &a, &rc);
	if (ok && rc != SN_RC_OK)
		ok = check_fails(l->c, "a sample was refused with %d", rc);
	ok = ok && try_file(l, in, &SMALL, 0xFF, &b, &rc);
	if (ok && (rc != SN_RC_OK || a.n != b.n))
		ok = check_fails(l->c, "a sample was decoded once and not again");
	if (ok && memcmp(a.p, b.p, a.n) != 0)
		ok = check_fails(l->c, "decoding twice gave other samples, or left some of them unfilled");
	guarded_close(&a);
	guarded_close(&b);
	guarded_unseal(in);
	l->wanted_rate = 0;
	return ok;
}

/* Sound also at rates that encoders ask for. */
static bool same_twice(life *l, guarded *in)
{
	return same_twice_at(l, in, 0) &&
	       (l->codec->kind != SN_MEDIA_AUDIO || (same_twice_at(l, in, 16000) && same_twice_at(l, in, 24000)));
}

/* A clip without sound is none of the sound codec's, though it begins like those that are. */
static bool is_silent_clip(life *l, const guarded *in)
{
	sn_media media;
	sn_fault fault;
	bool clip = false;
	for (uint32_t d = 0; d < l->c->list->n_plugins; d++) {
		const sn_ext_clip *e = l->c->list->plugins[d]->extension(SN_EXT_CLIP);
		clip |= e && e->sniff(in->p, in->n < 64 ? in->n : 64);
	}
	return clip && l->codec->kind == SN_MEDIA_AUDIO && measure(l, in->p, in->n, &SMALL, &media, &fault) == SN_RC_INVALID;
}

/* Tries every sample on every codec that claims it; *used: how many of those went well. True if there was one for each codec, and
 * nothing failed; else the check is not done. */
static bool try_samples(check *c, bool (*try)(life *l, guarded *in), size_t *used)
{
	size_t n_codecs = 0;
	*used = 0;
	for (uint32_t d = 0; d < c->list->n_plugins && !check_failed(c); d++) {
		life l = {0};
		bool codec = codec_open(c, c->list->plugins[d], &l);
		n_codecs += codec;
		for (size_t i = 0; codec && i < c->config->n_samples && !check_failed(c); i++) {
			guarded in = {0};
			if (sample_guarded(c, i, &in) && claims(&l, &in) && !is_silent_clip(&l, &in))
				*used += try(&l, &in);
			guarded_close(&in);
		}
		if (l.instance)
			life_close(&l);
	}
	if (!check_failed(c) && *used < n_codecs)
		check_lacks(c, "give --sample FILE: a file that the codec reads");
	return !check_failed(c) && *used >= n_codecs;
}

void check_samples(check *c)
{
	size_t used;
	if (try_samples(c, same_twice, &used))
		snprintf(c->out->text, sizeof c->out->text, "%zu sample%s", used, used == 1 ? "" : "s");
}

/* ---- limits ---- */

static bool at_limit(life *l, const guarded *in, const char *name, sn_media_limits limits, bool below)
{
	sn_media media;
	sn_fault fault;
	sn_rc rc = measure(l, in->p, in->n, &limits, &media, &fault);
	if (!below)
		return rc == SN_RC_OK || check_fails(l->c, "%s exactly at the file's value is refused: %.200s", name, fault.text);
	if (rc == SN_RC_OK)
		return check_fails(l->c, "%s one below the file's value is not held by measure", name);
	if (rc != SN_RC_TOO_LARGE)
		return check_fails(l->c, "%s is refused with %d, not SN_RC_TOO_LARGE", name, rc);
	return check_fault(l->c, "measure", rc, &fault);
}

static bool limits_of(life *l, guarded *in)
{
	sn_media m;
	sn_fault fault;
	const sn_media_limits none = {.size = sizeof none};
	if (measure(l, in->p, in->n, &none, &m, &fault) != SN_RC_OK)
		return check_fails(l->c, "a sample is refused without any limit: %.200s", fault.text);
	const struct { const char *name; uint64_t value; size_t at, size; } rows[] = {
	    {"max_width", m.width, offsetof(sn_media_limits, max_width), 4},
	    {"max_height", m.height, offsetof(sn_media_limits, max_height), 4},
	    {"max_frames", m.n_frames, offsetof(sn_media_limits, max_frames), 4},
	    {"max_pixels", (uint64_t)m.width * m.height, offsetof(sn_media_limits, max_pixels), 8},
	    {"max_bytes", m.bytes, offsetof(sn_media_limits, max_bytes), 8},
	    {"max_samples", m.n_samples, offsetof(sn_media_limits, max_samples), 8},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (int below = 0; below < 2; below++) {
			uint64_t value = rows[i].value - (uint64_t)below;
			uint32_t narrow = (uint32_t)value;
			sn_media_limits limits = none;
			if (value == 0 || rows[i].value == 0) /* 0 would be no limit */
				continue;
			memcpy((char *)&limits + rows[i].at, rows[i].size == 4 ? (const void *)&narrow : &value, rows[i].size);
			if (!at_limit(l, in, rows[i].name, limits, below))
				return false;
		}
	return true;
}

void check_limits(check *c)
{
	size_t used;
	try_samples(c, limits_of, &used);
}

/* ---- garbage ---- */

static void try_bytes(life *l, guarded *in)
{
	sn_rc rc;
	guarded_seal(in);
	l->codec->sniff(in->p, in->n < 64 ? in->n : 64);
	try_file(l, in, &SMALL, 0, NULL, &rc);
	guarded_unseal(in);
}

static const garbage GARBAGE = {.random = 300, .cuts = 300, .damaged = 600, .try = try_bytes};

void random_files(life *l, const garbage *g, const guarded *known, uint64_t *seed)
{
	guarded in;
	if (!guarded_open(&in, MAX_GARBAGE))
		return;
	for (uint32_t k = 0; k < g->random && !check_failed(l->c); k++) {
		size_t n = k < 64 ? k : next(seed) % (k % 8 ? 2048 : MAX_GARBAGE);
		guarded_fit(&in, n);
		for (size_t i = 0; i < n; i++)
			in.p[i] = (uint8_t)next(seed);
		if (known && k % 2) {
			size_t head = next(seed) % 64;
			memcpy(in.p, known->p, head < n ? (head < known->n ? head : known->n) : 0);
		}
		g->try(l, &in);
	}
	guarded_close(&in);
}

void damaged_files(life *l, const garbage *g, const guarded *known, uint64_t *seed)
{
	guarded in;
	if (!guarded_open(&in, known->n))
		return;
	size_t n_cuts = known->n < g->cuts ? known->n : g->cuts;
	for (size_t k = 0; k < n_cuts && !check_failed(l->c); k++) {
		size_t n = k < g->cuts / 2 && known->n > g->cuts ? k : known->n * k / n_cuts;
		guarded_fit(&in, n);
		memcpy(in.p, known->p, n);
		g->try(l, &in);
	}
	guarded_fit(&in, known->n);
	for (uint32_t k = 0; k < g->damaged && !check_failed(l->c); k++) {
		static const uint8_t edges[] = {0, 1, 0x7F, 0x80, 0xFF};
		uint64_t r = next(seed);
		size_t reach = k % 2 && known->n > 256 ? 256 : known->n; /* headers matter more */
		memcpy(in.p, known->p, known->n);
		for (uint64_t m = 1 + r % 6; m > 0; m--) {
			r = next(seed);
			in.p[r % reach] = r >> 32 & 1 ? edges[(r >> 33) % sizeof edges] : (uint8_t)(r >> 40);
		}
		g->try(l, &in);
	}
	guarded_close(&in);
}

void check_garbage(check *c)
{
	uint64_t seed = 1;
	size_t used = 0, n_codecs = 0;
	for (uint32_t d = 0; d < c->list->n_plugins && !check_failed(c); d++) {
		life l = {0};
		bool codec = codec_open(c, c->list->plugins[d], &l);
		size_t held = check_host_held(c->host);
		n_codecs += codec;
		if (codec)
			random_files(&l, &GARBAGE, NULL, &seed);
		for (size_t i = 0; codec && i < c->config->n_samples && !check_failed(c); i++) {
			guarded in = {0};
			if (sample_guarded(c, i, &in) && claims(&l, &in)) {
				used++;
				random_files(&l, &GARBAGE, &in, &seed);
				damaged_files(&l, &GARBAGE, &in, &seed);
			}
			guarded_close(&in);
		}
		if (codec && check_host_held(c->host) != held)
			check_fails(c, "%s: refused files left %zu bytes behind", l.d->id, check_host_held(c->host) - held);
		if (l.instance)
			life_close(&l);
	}
	if (!check_failed(c) && used < n_codecs)
		check_lacks(c, "random bytes did no harm; give --sample FILE to damage a real file");
}

/* ---- for the checks of memory and threads ---- */

bool check_pass_codec(life *l)
{
	for (size_t i = 0; i < l->c->config->n_samples && !check_failed(l->c); i++) {
		guarded in = {0};
		sn_rc rc;
		if (sample_guarded(l->c, i, &in) && claims(l, &in))
			try_file(l, &in, &SMALL, 0, NULL, &rc);
		guarded_close(&in);
	}
	return !check_failed(l->c);
}

typedef struct decoder {
	life *l;
	const guarded *in;
	sn_media first; /* what one thread alone made of it */
	bool differs;
} decoder;

static void *decode_again(void *arg)
{
	decoder *d = arg;
	for (int k = 0; k < ROUNDS && !d->differs; k++) {
		sn_media m;
		if (!sample_decode(d->l, &(sample){d->in->p, d->in->n}, &m)) {
			d->differs = true;
			break;
		}
		d->differs = m.bytes != d->first.bytes || memcmp(m.samples, d->first.samples, m.bytes) != 0;
		free(m.samples);
	}
	return NULL;
}

void check_threads_codec(life *l)
{
	for (size_t i = 0; i < l->c->config->n_samples && !check_failed(l->c); i++) {
		guarded in = {0};
		decoder d[THREADS];
		pthread_t threads[THREADS];
		sn_media first = {0};
		int n = 0;
		if (sample_guarded(l->c, i, &in) && claims(l, &in) && sample_decode(l, &(sample){in.p, in.n}, &first)) {
			for (; n < THREADS; n++) {
				d[n] = (decoder){l, &in, first, false};
				if (pthread_create(&threads[n], NULL, decode_again, &d[n]) != 0)
					break;
			}
			for (int k = 0; k < n; k++) {
				pthread_join(threads[k], NULL);
				if (d[k].differs)
					check_fails(l->c, "%s: several threads at once get another result than one alone", l->d->id);
			}
		}
		free(first.samples);
		guarded_close(&in);
	}
}
