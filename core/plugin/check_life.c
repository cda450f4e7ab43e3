/* check_life.c - the life cycle under `plugins --check`: a thousand lives, calls in wrong orders, services and malloc where they are
 * not allowed, [any] calls at once. */
#include <dirent.h>
#include <stdio.h>

#include "plugin/check.h"

enum { LIVES = 1000, WARM = 200, SLACK_PAGES = 256 /* 1 MiB in 800 lives: less than 1.4 KiB a life */ };

/* ---- a thousand lives ---- */

static size_t count_fds(void)
{
	size_t n = 0;
	DIR *d = opendir("/proc/self/fd");
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static size_t resident_pages(void)
{
	unsigned long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	if (f && fscanf(f, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return resident;
}

static void lives_of(check *c, const sn_plugin *d)
{
	size_t fds = 0, pages = 0, held = check_host_held(c->host);
	for (int i = 0; i < LIVES && !check_failed(c); i++) {
		life l;
		life_start(&l, c, d);
		life_close(&l);
		if (check_host_held(c->host) != held)
			check_fails(c, "%s: %zu bytes of sn.host.memory are left behind by a life", d->id, check_host_held(c->host) - held);
		if (i == WARM) {
			fds = count_fds();
			pages = resident_pages();
		}
	}
	if (check_failed(c))
		return;
	if (count_fds() > fds)
		check_fails(c, "%s: files are left open: %zu after %d lives, %zu after %d", d->id, count_fds(), LIVES, fds, WARM);
	if (resident_pages() > pages + SLACK_PAGES)
		check_fails(c, "%s: %d lives left %zu KiB of memory behind", d->id, LIVES - WARM, (resident_pages() - pages) * 4);
}

void check_lifecycle(check *c)
{
	for (uint32_t i = 0; i < c->list->n_plugins; i++)
		lives_of(c, c->list->plugins[i]);
}

/* ---- orders ---- */

/* Calls before load have nothing to work with: they must say so, not crash. */
static void calls_before_load(life *l)
{
	sn_fault fault = {.size = sizeof fault};
	sn_media media = {.size = sizeof media, .kind = SN_MEDIA_DATA, .width = 4, .height = 4, .n_frames = 1, .bytes = 48};
	const sn_media_limits limits = {.size = sizeof limits};
	if (l->codec)
		l->codec->measure(l->instance, NULL, (const uint8_t *)"", 0, &limits, &media, &fault);
	if (l->clip) {
		sn_clip_info info = {.size = sizeof info};
		l->clip->look(l->instance, NULL, (const uint8_t *)"", 0, NULL, &info, &fault);
	}
	if (l->watch) {
		const sn_clip_info info = {.size = sizeof info, .width = 4, .height = 4, .n_frames = 1};
		const sn_watch_options options = {.size = sizeof options};
		sn_watch_sample chosen = {.size = sizeof chosen};
		uint32_t frame;
		l->watch->marker(l->instance);
		l->watch->sample(l->instance, NULL, &info, &options, 1, &frame, &chosen, &fault);
	}
	if (l->plan) {
		sn_media_plan plan = {.size = sizeof plan};
		media.kind = l->plan->kind;
		l->plan->marker(l->instance);
		l->plan->row_token(l->instance);
		l->plan->row_dim(l->instance);
		l->plan->plan(l->instance, NULL, &media, &plan, &fault);
	}
	if (l->synth) {
		uint32_t n_units = 0;
		uint64_t bytes = 0;
		if ((l->speak && !l->speak->describe(l->instance)) || !l->synth->describe(l->instance))
			check_fails(l->c, "%s: describe gives nothing before load", l->d->id);
		l->synth->plan(l->instance, 1, 1, &n_units, &bytes, &fault);
	}
	if (l->write) {
		const sn_write_options options = {.size = sizeof options, .media_type = "application/x-none"};
		uint64_t n = 0;
		media.kind = l->write->kind;
		l->write->bound(l->instance, NULL, &media, &options, &n, &fault);
		l->write->write(l->instance, NULL, &media, &options, NULL, 0, &n, &fault);
	}
}

void check_orders(check *c)
{
	size_t held = check_host_held(c->host);
	for (uint32_t i = 0; i < c->list->n_plugins && !check_failed(c); i++) {
		const sn_plugin *d = c->list->plugins[i];
		life l;
		sn_fault fault;
		/* init, fini */
		if (life_open(&l, c, d) && life_init(&l, &fault) != SN_RC_OK)
			check_fails(c, "%s: init failed: %.200s", d->id, fault.text);
		life_close(&l);
		/* calls before load; then load all the same */
		if (!check_failed(c) && life_open(&l, c, d) && life_init(&l, &fault) == SN_RC_OK) {
			calls_before_load(&l);
			if (life_load(&l, &fault) != SN_RC_OK)
				check_fails(c, "%s: load fails after calls that came too early", d->id);
		}
		life_close(&l);
		/* a second load may be refused; it must not crash or leak */
		if (!check_failed(c) && life_start(&l, c, d)) {
			sn_rc rc = life_load(&l, &fault);
			if (rc != SN_RC_OK)
				check_fault(c, "a second load", rc, &fault);
		}
		life_close(&l);
		/* two instances at once, closed in the order they were opened */
		life other = {0};
		if (!check_failed(c) && life_start(&l, c, d) && life_start(&other, c, d)) {
			if (l.encode)
				check_job_orders(&other, c);
			if (l.synth)
				check_synth_orders(&other);
		}
		life_close(&l);
		if (other.instance)
			life_close(&other);
		if (!check_failed(c) && check_host_held(c->host) != held)
			check_fails(c, "%s: %zu bytes of sn.host.memory are left behind", d->id, check_host_held(c->host) - held);
	}
}

/* ---- threads ---- */

void check_threads(check *c)
{
	for (uint32_t i = 0; i < c->list->n_plugins && !check_failed(c); i++) {
		life l;
		c->host->watch = true;
		if (life_start(&l, c, c->list->plugins[i]))
			check_pass(&l);
		life_close(&l);
		check_violation(c);
		check_host_reset(c->host);
		if (!check_failed(c) && life_start(&l, c, c->list->plugins[i])) {
			if (l.codec)
				check_threads_codec(&l);
			if (l.clip)
				check_threads_clips(&l);
			if (l.encode)
				check_threads_encoder(&l);
			if (l.write)
				check_threads_writer(&l);
			if (l.synth)
				check_threads_synth(&l);
		}
		life_close(&l);
	}
}
