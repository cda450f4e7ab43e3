/* check_write.c - "sn.write/1" under `plugins --check`: every type over every medium, into room that ends at a forbidden page. A file
 * is written twice, the second time by another instance that was not asked for a bound, with exactly the room that it needs;
 * then with a byte less. What was written goes back through the plugin's own "sn.decode/1", where it reads that type. Where sound can be
 * written as a stream, pushes of any size give the same bytes, and a stream that is held to its end gives the whole file. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/check.h"

enum { THREADS = 4, ROUNDS = 10, MAX_TYPE = 100, NEVER_WRITTEN = 12345, QUICK = 1 << 20 };

static sn_rc ask_bound(life *l, const sn_media *m, const sn_write_options *o, uint64_t *bytes, sn_fault *fault)
{
	*fault = (sn_fault){.size = sizeof *fault};
	*bytes = 0;
	check_enter(l->c->host, IN_ANY);
	sn_rc rc = l->write->bound(l->instance, NULL, m, o, bytes, fault);
	check_leave(l->c->host);
	return rc;
}

static sn_rc write_file(life *l, const sn_media *m, const sn_write_options *o, guarded *out, uint64_t *n, sn_fault *fault)
{
	*fault = (sn_fault){.size = sizeof *fault};
	*n = NEVER_WRITTEN;
	check_enter(l->c->host, IN_ANY);
	sn_rc rc = l->write->write(l->instance, NULL, m, o, out->p, out->n, n, fault);
	check_leave(l->c->host);
	return rc;
}

/* One file in so much room. *file: what came of it, opened if *rc is OK. False: the check has failed. */
static bool try_write(life *l, const sn_media *m, const sn_write_options *o, uint64_t room, uint8_t fill, guarded *file, uint64_t *n, sn_rc *rc)
{
	sn_fault fault;
	const sn_media before = *m;
	*file = (guarded){0};
	if (room > SIZE_MAX / 2 || !guarded_open(file, room))
		return check_fails(l->c, "%s: no memory for a bound of %llu bytes", l->d->id, (unsigned long long)room);
	memset(file->p, fill, room);
	*rc = write_file(l, m, o, file, n, &fault);
	bool ok = guarded_intact(file) || check_fails(l->c, "%s: write wrote before its room", l->d->id);
	if (ok && memcmp(&before, m, sizeof before) != 0)
		ok = check_fails(l->c, "%s: write changed its media", l->d->id);
	if (ok && *rc != SN_RC_OK)
		ok = check_fault(l->c, "write", *rc, &fault) &&
		     (*n == 0 || check_fails(l->c, "%s: write failed and says that it wrote something", l->d->id)) &&
		     (*rc != SN_RC_INTERNAL || check_fails(l->c, "%s: write blames itself (SN_RC_INTERNAL): %.200s", l->d->id, fault.text));
	else if (ok && (*n == 0 || *n > room))
		ok = check_fails(l->c, "%s: write says %llu bytes in a room of %llu", l->d->id, (unsigned long long)*n, (unsigned long long)room);
	if (!ok || *rc != SN_RC_OK)
		guarded_close(file);
	return ok;
}

/* In this room the same file must come out, or SN_RC_TOO_LARGE if it does not fit. */
static bool same_file(life *l, const sn_media *m, const sn_write_options *o, uint64_t room, const guarded *want, uint64_t n_want)
{
	guarded file;
	uint64_t n = 0;
	sn_rc rc;
	if (!try_write(l, m, o, room, 0xFF, &file, &n, &rc))
		return false;
	bool ok = true;
	if (room < n_want && rc != SN_RC_TOO_LARGE)
		ok = check_fails(l->c, "%s: a file that does not fit gives %d, not SN_RC_TOO_LARGE", l->d->id, rc);
	else if (room >= n_want && rc != SN_RC_OK)
		ok = check_fails(l->c, "%s: a file of %llu bytes is not written into %llu: %d", l->d->id, (unsigned long long)n_want,
		                 (unsigned long long)room, rc);
	else if (rc == SN_RC_OK && (n != n_want || memcmp(file.p, want->p, n) != 0))
		ok = check_fails(l->c, "%s: the same media gave another file (%s)", l->d->id, o->media_type);
	guarded_close(&file);
	return ok;
}

/* ---- what came of it, read again ---- */

static bool similar(const sn_media *a, const sn_media *b)
{
	double sum = 0, sum_b = 0;
	if (a->kind == SN_MEDIA_DATA) /* nothing is known of its meaning, so of what would be near */
		return a->bytes == b->bytes && memcmp(a->samples, b->samples, a->bytes) == 0;
	if (a->kind == SN_MEDIA_AUDIO) { /* codecs delay, cut and pad: about as long, about as loud */
		double seconds = (double)a->n_samples / a->rate, again = (double)b->n_samples / b->rate;
		for (uint64_t i = 0; i < a->n_samples; i++)
			sum += fabs((double)((const float *)a->samples)[i]) / (double)a->n_samples;
		for (uint64_t i = 0; i < b->n_samples; i++)
			sum_b += fabs((double)((const float *)b->samples)[i]) / (double)b->n_samples;
		return fabs(seconds - again) < 0.25 && (seconds < 0.25 || (sum_b < 2 * sum + 0.01 && sum < 2 * sum_b + 0.01));
	}
	for (uint64_t i = 0; i < a->bytes; i++)
		sum += abs(((const uint8_t *)a->samples)[i] - ((const uint8_t *)b->samples)[i]);
	return sum / (double)a->bytes < 255.0 / 8;
}

static bool read_again(life *l, const sn_media *m, const char *type, const guarded *file, uint64_t n)
{
	bool ok = true;
	for (uint32_t d = 0; ok && d < l->c->list->n_plugins; d++) {
		const sn_ext_decode *codec = l->c->list->plugins[d]->extension(SN_EXT_DECODE);
		life reader = {0};
		sn_media back = {0};
		if (!codec || strcmp(codec->kind_name, l->write->kind_name) != 0 || !check_in_words(codec->media_types, type))
			continue;
		ok = life_start(&reader, l->c, l->c->list->plugins[d]);
		if (ok && !codec->sniff(file->p, n < 64 ? n : 64))
			ok = check_fails(l->c, "%s: its own sniff does not know a file that it wrote (%s)", l->d->id, type);
		if (ok && !sample_decode(&reader, &(sample){file->p, n}, &back))
			ok = check_fails(l->c, "%s: its own decode refuses a file that it wrote (%s)", l->d->id, type);
		if (ok && (back.kind != m->kind || (m->kind != SN_MEDIA_AUDIO && (back.width != m->width || back.height != m->height ||
		                                                                  back.n_frames != m->n_frames || back.bytes != m->bytes))))
			ok = check_fails(l->c, "%s: a file that it wrote has another shape when it is read again (%s)", l->d->id, type);
		if (ok && !similar(m, &back))
			ok = check_fails(l->c, "%s: a file that it wrote holds something else when it is read again (%s)", l->d->id, type);
		free(back.samples);
		if (reader.instance)
			life_close(&reader);
	}
	return ok;
}

/* ---- streams ---- */

typedef struct streamed {
	uint8_t *p; /* [n] */
	size_t n;
	sn_rc rc;
} streamed;

/* What is ready is taken into exactly so much room. */
static bool take_ready(life *l, sn_write_stream *s, uint64_t ready, streamed *out)
{
	guarded room;
	uint8_t *more = ready > SIZE_MAX / 4 ? NULL : realloc(out->p, out->n + ready + 1);
	if (!more || !guarded_open(&room, ready))
		return check_fails(l->c, "%s: no memory for %llu bytes that are ready", l->d->id, (unsigned long long)ready);
	out->p = more;
	check_enter(l->c->host, IN_ANY);
	uint64_t n = l->write->stream_take(l->instance, s, room.p, ready);
	check_leave(l->c->host);
	bool ok = guarded_intact(&room) || check_fails(l->c, "%s: stream_take wrote before its room", l->d->id);
	if (ok && n != ready)
		ok = check_fails(l->c, "%s: %llu bytes are ready, stream_take gives %llu", l->d->id, (unsigned long long)ready, (unsigned long long)n);
	if (ok)
		memcpy(out->p + out->n, room.p, n);
	out->n += ok ? n : 0;
	guarded_close(&room);
	return ok;
}

/* All of m, pushed in parts of so many samples. False: the check has failed. */
static bool stream_medium(life *l, const sn_media *m, const char *type, bool whole, uint64_t push, streamed *out)
{
	const sn_write_stream_options o = {.size = sizeof o, .media_type = type, .rate = m->rate, .tempo = 1, .whole = whole};
	sn_fault fault = {.size = sizeof fault};
	sn_write_stream *s = NULL;
	uint64_t ready = 0;
	bool ok = true;
	*out = (streamed){.p = NULL};
	check_enter(l->c->host, IN_ANY);
	out->rc = l->write->stream_open(l->instance, NULL, &o, &s, &fault);
	check_leave(l->c->host);
	for (uint64_t at = 0; ok && out->rc == SN_RC_OK && at < m->n_samples; at += push) {
		uint64_t n = m->n_samples - at < push ? m->n_samples - at : push;
		check_enter(l->c->host, IN_ANY);
		out->rc = l->write->stream_push(l->instance, NULL, s, (const float *)m->samples + at, n, &ready, &fault);
		check_leave(l->c->host);
		ok = out->rc != SN_RC_OK || take_ready(l, s, ready, out);
	}
	if (ok && out->rc == SN_RC_OK) {
		check_enter(l->c->host, IN_ANY);
		out->rc = l->write->stream_finish(l->instance, NULL, s, &ready, &fault);
		check_leave(l->c->host);
		ok = out->rc != SN_RC_OK || take_ready(l, s, ready, out);
	}
	if (ok && out->rc != SN_RC_OK)
		ok = check_fault(l->c, "a stream", out->rc, &fault);
	check_enter(l->c->host, IN_ANY);
	if (s)
		l->write->stream_close(l->instance, s);
	check_leave(l->c->host);
	return ok;
}

static bool streams(life *l, const sn_media *m, const char *type, const guarded *whole, uint64_t n_whole)
{
	static const uint64_t pushes[] = {77, 4096};
	streamed first = {.p = NULL}, other;
	bool ok = true;
	if (!sn_write_has_streams(l->write) || m->kind != SN_MEDIA_AUDIO)
		return true;
	for (size_t i = 0; ok && i < 2 * sizeof pushes / sizeof *pushes; i++) {
		bool held = i >= sizeof pushes / sizeof *pushes;
		streamed *out = i == 0 ? &first : &other;
		ok = stream_medium(l, m, type, held, pushes[i % 2], out);
		if (ok && out->rc != SN_RC_OK)
			ok = check_fails(l->c, "%s: what is written whole gives %d as a stream (%s)", l->d->id, out->rc, type);
		if (ok && i == 1 && (other.n != first.n || memcmp(other.p, first.p, first.n) != 0))
			ok = check_fails(l->c, "%s: other pushes of the same sound gave another stream (%s)", l->d->id, type);
		if (ok && held && (other.n != n_whole || memcmp(other.p, whole->p, n_whole) != 0))
			ok = check_fails(l->c, "%s: a stream that is held to its end is not the whole file (%s)", l->d->id, type);
		if (i > 0)
			free(other.p);
	}
	const guarded file = {.p = first.p, .n = first.n};
	ok = ok && read_again(l, m, type, &file, first.n);
	free(first.p);
	return ok;
}

/* ---- one type over one medium ---- */

/* Types that lose nothing ignore the quality, the others hold its range. */
static bool qualities(life *l, const sn_media *m, const char *type, const guarded *plain, uint64_t n_plain)
{
	static const uint32_t tried[] = {1, 100, 101};
	for (size_t i = 0; i < sizeof tried / sizeof *tried; i++) {
		const sn_write_options o = {.size = sizeof o, .quality = tried[i], .media_type = type};
		guarded file;
		uint64_t room, n = 0;
		sn_fault fault;
		sn_rc rc = ask_bound(l, m, &o, &room, &fault), written = SN_RC_OK;
		if (rc != SN_RC_OK && (!check_fault(l->c, "bound", rc, &fault) || tried[i] <= 100 || rc != SN_RC_INVALID))
			return check_fails(l->c, "%s: quality %u gives %d (%s)", l->d->id, tried[i], rc, type);
		if (!try_write(l, m, &o, rc == SN_RC_OK ? room : n_plain, 0, &file, &n, &written))
			return false;
		bool ignored = written == SN_RC_OK && n == n_plain && memcmp(file.p, plain->p, n) == 0;
		guarded_close(&file);
		if (written != rc)
			return check_fails(l->c, "%s: bound and write disagree about quality %u (%s)", l->d->id, tried[i], type);
		if (rc == SN_RC_OK && tried[i] > 100 && !ignored)
			return check_fails(l->c, "%s: quality %u is out of range and is taken (%s)", l->d->id, tried[i], type);
	}
	return true;
}

static bool write_medium(life *l, const sn_media *m, const char *type, size_t *used)
{
	const sn_write_options o = {.size = sizeof o, .media_type = type};
	uint64_t room, again, n = 0;
	guarded file = {0};
	life other = {0};
	sn_fault fault;
	sn_rc rc = ask_bound(l, m, &o, &room, &fault);
	if (rc != SN_RC_OK) /* not every type takes every medium */
		return check_fault(l->c, "bound", rc, &fault);
	if (ask_bound(l, m, &o, &again, &fault) != SN_RC_OK || again != room || room == 0)
		return check_fails(l->c, "%s: bound gave %llu, then %llu", l->d->id, (unsigned long long)room, (unsigned long long)again);
	bool ok = try_write(l, m, &o, room, 0, &file, &n, &rc);
	if (ok && rc != SN_RC_OK)
		ok = check_fails(l->c, "%s: write gave %d in the room that bound had asked for (%s)", l->d->id, rc, type);
	ok = ok && life_start(&other, l->c, l->d) && same_file(&other, m, &o, n, &file, n) && same_file(l, m, &o, n - 1, &file, n) &&
	     same_file(l, m, &o, 0, &file, n) && same_file(l, m, &o, room - 1, &file, n) && qualities(l, m, type, &file, n) &&
	     read_again(l, m, type, &file, n) && streams(l, m, type, &file, n);
	if (other.instance)
		life_close(&other);
	guarded_close(&file);
	*used += ok;
	return ok;
}

/* ---- what must be refused ---- */

/* must: the code that is right. bound may do without samples. */
static bool refused(life *l, const sn_media *m, const sn_write_options *o, sn_rc must, bool bound_too, const char *what)
{
	guarded file;
	uint64_t n;
	sn_fault fault;
	sn_rc rc = bound_too ? ask_bound(l, m, o, &n, &fault) : must;
	if (rc == must && bound_too && !check_fault(l->c, "bound", rc, &fault))
		return false;
	if (rc == must) {
		if (!try_write(l, m, o, m->bytes + 4096, 0, &file, &n, &rc))
			return false;
		guarded_close(&file);
	}
	return rc == must || check_fails(l->c, "%s: %s gives %d, not %s", l->d->id, what, rc,
	                                 must == SN_RC_INVALID ? "SN_RC_INVALID" : "SN_RC_UNSUPPORTED");
}

static bool refusals(life *l, const sn_media *m, const char *type)
{
	const sn_write_options good = {.size = sizeof good, .media_type = type}, unknown = {.size = sizeof unknown, .media_type = "application/x-none"},
	                       empty = {.size = sizeof empty, .media_type = ""};
	sn_media kind = *m, bytes = *m, no_bytes = *m, no_samples = *m;
	kind.kind = kind.kind % SN_MEDIA_DATA + 1;
	bytes.bytes--;
	no_bytes.bytes = 0;
	no_samples.samples = NULL;
	return refused(l, m, &unknown, SN_RC_UNSUPPORTED, true, "a type that is not written") &&
	       refused(l, m, &empty, SN_RC_UNSUPPORTED, true, "an empty type") &&
	       refused(l, &kind, &good, SN_RC_INVALID, true, "media of another kind") &&
	       refused(l, &no_bytes, &good, SN_RC_INVALID, true, "media without bytes") &&
	       (m->kind == SN_MEDIA_DATA || refused(l, &bytes, &good, SN_RC_INVALID, true, "media that are smaller than their shape")) &&
	       refused(l, &no_samples, &good, SN_RC_INVALID, false, "media without samples");
}

/* ---- over all types and media ---- */

typedef bool medium_fn(life *l, const sn_media *m, const char *type, size_t *used);

/* The medium as the plugin sees it: sealed samples that end at a forbidden page. */
static bool sealed(life *l, const sn_media *m, const char *type, medium_fn *fn, size_t *used)
{
	guarded samples;
	sn_media shown = *m;
	if (!guarded_open(&samples, m->bytes))
		return check_fails(l->c, "no memory for a medium");
	memcpy(samples.p, m->samples, m->bytes);
	guarded_seal(&samples);
	shown.samples = samples.p;
	bool ok = fn(l, &shown, type, used);
	guarded_close(&samples);
	return ok;
}

static bool next_type(const char **at, char type[MAX_TYPE])
{
	*at += strspn(*at, " ");
	size_t n = strcspn(*at, " ");
	snprintf(type, MAX_TYPE, "%.*s", (int)(n < MAX_TYPE ? n : MAX_TYPE - 1), *at);
	*at += n;
	return n > 0;
}

/* What is written again and again is not large, if there is a choice. Returns how many media are left. */
static size_t keep_quick(sn_media *media, size_t n)
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		if (media[i].bytes <= QUICK || (i + 1 == n && kept == 0))
			media[kept++] = media[i];
		else
			media_free(&media[i], 1);
	return kept;
}

/* Calls fn for every type and medium; each type must take one at least. */
static void every(life *l, bool quick, medium_fn *fn, size_t *used)
{
	sn_media media[MAX_MEDIA_TRIED];
	char type[MAX_TYPE];
	size_t n = media_make(l->c, l->write->kind, l->write->kind_name, 0, media);
	if (n == 0)
		check_lacks(l->c, "%s: give --sample FILE: media of kind %s come from the file's own codec", l->d->id, l->write->kind_name);
	if (quick)
		n = keep_quick(media, n);
	for (const char *at = l->write->media_types; !check_failed(l->c) && next_type(&at, type);) {
		size_t before = *used;
		for (size_t i = 0; i < n && !check_failed(l->c); i++)
			sealed(l, &media[i], type, fn, used);
		if (!check_failed(l->c) && *used == before)
			check_fails(l->c, "%s: of the media offered it writes none as %s", l->d->id, type);
	}
	media_free(media, n);
}

static bool write_and_refuse(life *l, const sn_media *m, const char *type, size_t *used)
{
	return write_medium(l, m, type, used) && refusals(l, m, type);
}

void check_writes(check *c)
{
	size_t used = 0;
	for (uint32_t d = 0; d < c->list->n_plugins && !check_failed(c); d++) {
		life l = {0};
		if (!c->list->plugins[d]->extension(SN_EXT_WRITE))
			continue;
		size_t held = check_host_held(c->host);
		if (life_start(&l, c, c->list->plugins[d]))
			every(&l, false, write_and_refuse, &used);
		life_close(&l);
		if (!check_failed(c) && check_host_held(c->host) != held)
			check_fails(c, "%s: writing left %zu bytes behind", l.d->id, check_host_held(c->host) - held);
	}
	if (!check_failed(c))
		snprintf(c->out->text, sizeof c->out->text, "%zu file%s", used, used == 1 ? "" : "s");
}

/* ---- for the checks of memory and threads ---- */

static bool pass_medium(life *l, const sn_media *m, const char *type, size_t *used)
{
	const sn_write_options o = {.size = sizeof o, .media_type = type};
	uint64_t room, n = 0;
	guarded file = {0};
	sn_fault fault;
	sn_rc rc = ask_bound(l, m, &o, &room, &fault);
	++*used; /* what it takes is another check's matter */
	if (rc != SN_RC_OK)
		return check_fault(l->c, "bound", rc, &fault);
	bool ok = try_write(l, m, &o, room, 0, &file, &n, &rc);
	guarded_close(&file);
	if (ok && sn_write_has_streams(l->write) && m->kind == SN_MEDIA_AUDIO) {
		streamed out;
		ok = stream_medium(l, m, type, false, 4096, &out);
		free(out.p);
	}
	return ok;
}

bool check_pass_writer(life *l)
{
	size_t used = 0;
	every(l, true, pass_medium, &used);
	return !check_failed(l->c);
}

typedef struct author {
	life *l;
	const sn_media *m;
	const sn_write_options *o;
	const uint8_t *want; /* [n] */
	uint64_t n, room;
	bool differs;
} author;

static void *write_again(void *arg)
{
	author *a = arg;
	sn_fault fault = {.size = sizeof fault};
	uint8_t *file = malloc(a->room);
	for (int k = 0; file && k < ROUNDS && !a->differs; k++) {
		uint64_t n = 0;
		sn_rc rc = a->l->write->write(a->l->instance, NULL, a->m, a->o, file, a->room, &n, &fault);
		a->differs = rc != SN_RC_OK || n != a->n || memcmp(file, a->want, n) != 0;
	}
	free(file);
	return NULL;
}

static bool write_at_once(life *l, const sn_media *m, const char *type, size_t *used)
{
	const sn_write_options o = {.size = sizeof o, .media_type = type};
	author authors[THREADS];
	pthread_t threads[THREADS];
	uint64_t room, n = 0;
	guarded file = {0};
	sn_fault fault;
	sn_rc rc;
	int started = 0;
	++*used;
	if (ask_bound(l, m, &o, &room, &fault) != SN_RC_OK)
		return true;
	if (!try_write(l, m, &o, room, 0, &file, &n, &rc) || rc != SN_RC_OK)
		return false;
	for (; started < THREADS; started++) {
		authors[started] = (author){l, m, &o, file.p, n, room, false};
		if (pthread_create(&threads[started], NULL, write_again, &authors[started]) != 0)
			break;
	}
	for (int k = 0; k < started; k++) {
		pthread_join(threads[k], NULL);
		if (authors[k].differs)
			check_fails(l->c, "%s: several threads at once write another file than one alone (%s)", l->d->id, type);
	}
	guarded_close(&file);
	return !check_failed(l->c);
}

void check_threads_writer(life *l)
{
	size_t used = 0;
	every(l, true, write_at_once, &used);
}
