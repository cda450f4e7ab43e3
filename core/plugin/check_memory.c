/* check_memory.c - memory that runs out under `plugins --check`: lives with everything in them, in which one request fails, of the
 * host's services or of the plugin's own malloc. Each is tried; of very many, as many as there is time for. */
#include <stdio.h>

#include "plugin/check.h"

enum { MAX_TRIED = 2000 };

/* One life, of which request k fails. Returns how many requests there were. */
static uint64_t life_without(check *c, const sn_plugin *d, uint64_t k)
{
	life l;
	sn_fault fault;
	check_host_reset(c->host);
	c->host->fail_at = k;
	if (life_open(&l, c, d)) {
		const char *call = "init";
		sn_rc rc = life_init(&l, &fault);
		if (rc == SN_RC_OK) {
			call = "load";
			rc = life_load(&l, &fault);
		}
		if (rc != SN_RC_OK)
			check_fault(c, call, rc, &fault);
		else
			check_pass(&l);
	}
	life_close(&l);
	return atomic_load(&c->host->n_asked);
}

/* Blocks of malloc that a life leaves behind when nothing fails: what libraries were given to keep and to free. */
static size_t left_by_a_good_life(check *c, const sn_plugin *d, uint64_t *asked)
{
	life_without(c, d, 0); /* whatever is made once in a process is made now */
	size_t before = check_blocks_count(&c->host->own);
	*asked = life_without(c, d, 0);
	size_t after = check_blocks_count(&c->host->own);
	return after > before ? after - before : 0;
}

static uint64_t fail_each(check *c, const sn_plugin *d, uint64_t *all)
{
	size_t held = check_host_held(c->host), left = left_by_a_good_life(c, d, all);
	uint64_t tried = *all < MAX_TRIED ? *all : MAX_TRIED;
	for (uint64_t i = 0; i < tried && !check_failed(c); i++) {
		uint64_t k = 1 + (tried == *all ? i : (uint64_t)((__uint128_t)i * *all / tried));
		size_t before = check_blocks_count(&c->host->own);
		life_without(c, d, k);
		size_t after = check_blocks_count(&c->host->own);
		if (check_host_held(c->host) != held)
			check_fails(c, "%s: %zu bytes are left behind when request %llu of %llu for memory fails", d->id,
			            check_host_held(c->host) - held, (unsigned long long)k, (unsigned long long)*all);
		if (after > before + left)
			check_fails(c, "%s: %zu of malloc's blocks are left behind when request %llu of %llu for memory fails", d->id,
			            after - before - left, (unsigned long long)k, (unsigned long long)*all);
	}
	return tried;
}

void check_memory(check *c)
{
	uint64_t total = 0, tried = 0, all;
	for (uint32_t i = 0; i < c->list->n_plugins && !check_failed(c); i++) {
		tried += fail_each(c, c->list->plugins[i], &all);
		total += all;
	}
	check_host_reset(c->host);
	if (check_failed(c))
		return;
	if (tried == total)
		snprintf(c->out->text, sizeof c->out->text, "each of %llu requests failed once", (unsigned long long)total);
	else
		snprintf(c->out->text, sizeof c->out->text, "%llu of %llu requests failed once", (unsigned long long)tried, (unsigned long long)total);
}
