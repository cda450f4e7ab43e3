/* check.c - `plugins --check`: the table of checks, and those of the file, the descriptors and the life cycle. */
#include "plugin/check.h"

#include <dirent.h>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

enum { LIVES = 1000, WARM = 200, SLACK_PAGES = 256 /* 1 MiB in 800 lives: less than 1.4 KiB a life */, MAX_REQUESTS = 10000 };

/* ---- telling ---- */

static bool tell(check *c, sn_check_verdict verdict, const char *fmt, va_list ap)
{
	if (c->out->verdict == SN_CHECK_FAIL)
		return false;
	c->out->verdict = verdict;
	vsnprintf(c->out->text, sizeof c->out->text, fmt, ap);
	return false;
}

bool check_fails(check *c, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	tell(c, SN_CHECK_FAIL, fmt, ap);
	va_end(ap);
	return false;
}

bool check_lacks(check *c, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	tell(c, SN_CHECK_NOT_DONE, fmt, ap);
	va_end(ap);
	return false;
}

bool check_failed(const check *c)
{
	return c->out->verdict == SN_CHECK_FAIL || c->out->verdict == SN_CHECK_NOT_DONE;
}

bool check_fault(check *c, const char *call, sn_rc rc, const sn_fault *fault)
{
	size_t n = strnlen(fault->text, sizeof fault->text);
	if (rc < SN_RC_INTERNAL || rc >= 0)
		return check_fails(c, "%s returned %d, which is no code of a failure", call, rc);
	if (fault->code != rc)
		return check_fails(c, "%s returned %d, and its fault says %d", call, rc, fault->code);
	if (n == 0 || n == sizeof fault->text)
		return check_fails(c, "%s failed without a text, or with one that does not end", call);
	if (fault->blame < SN_BLAME_INPUT || fault->blame > SN_BLAME_RESOURCE)
		return check_fails(c, "%s failed and blames nobody", call);
	for (size_t i = 0; i < n; i++)
		if (fault->text[i] < 0x20 || fault->text[i] == 0x7F)
			return check_fails(c, "%s failed with control characters in its text", call);
	return true;
}

bool check_violation(check *c)
{
	return *c->host->violation ? check_fails(c, "%s", c->host->violation) : true;
}

/* ---- lives ---- */

bool life_open(life *l, check *c, const sn_plugin *d)
{
	sn_error err;
	*l = (life){.c = c, .d = d, .codec = d->extension(SN_EXT_DECODE), .plan = d->extension(SN_EXT_PLAN), .encode = d->extension(SN_EXT_ENCODE)};
	l->instance = plugin_instance_new(d);
	if (!l->instance)
		return check_fails(c, "no memory for an instance");
	if (l->codec)
		return true;
	if (check_model_open(&l->model, c->host, c->config->model, &err) != SN_OK)
		return check_lacks(c, "%s", err.text);
	check_enter(c->host, IN_PROBE);
	int32_t sure = d->probe ? d->probe(&c->host->face, &l->model->real) : 0;
	check_leave(c->host);
	if (sure < 0 || sure > 100)
		return check_fails(c, "%s: probe gave %d, not 0 to 100", d->id, sure);
	if (sure == 0)
		return check_lacks(c, "%s does not claim %s: give --model FILE", d->id, c->config->model ? "this model" : "the synthetic model");
	return true;
}

sn_rc life_init(life *l, sn_fault *fault)
{
	*fault = (sn_fault){.size = sizeof *fault};
	check_enter(l->c->host, IN_INIT);
	sn_rc rc = l->d->init(l->instance, &l->c->host->face, fault);
	check_leave(l->c->host);
	l->begun = rc == SN_RC_OK;
	return rc;
}

sn_rc life_load(life *l, sn_fault *fault)
{
	*fault = (sn_fault){.size = sizeof *fault};
	check_enter(l->c->host, IN_LOAD);
	sn_rc rc = l->d->load(l->instance, l->model ? &l->model->real : NULL, fault);
	check_leave(l->c->host);
	return rc;
}

bool life_start(life *l, check *c, const sn_plugin *d)
{
	sn_fault fault;
	if (!life_open(l, c, d))
		return false;
	if (life_init(l, &fault) != SN_RC_OK)
		return check_fails(c, "%s: init failed: %.200s", d->id, fault.text);
	if (life_load(l, &fault) != SN_RC_OK)
		return check_fails(c, "%s: load failed: %.200s", d->id, fault.text);
	return true;
}

void life_close(life *l)
{
	if (l->begun) {
		check_enter(l->c->host, IN_FINI);
		l->d->fini(l->instance);
		check_leave(l->c->host);
	}
	check_model_close(&l->model);
	free(l->instance);
	l->instance = NULL;
	l->begun = false;
}

/* ---- file, stamp ---- */

/* The names that a loaded object offers to others, counted by its own tables. */
static size_t count_exports(void *so)
{
	struct link_map *map;
	const ElfW(Sym) *symbols = NULL;
	const uint32_t *gnu = NULL, *sysv = NULL;
	size_t n = 0, exported = 0;
	if (dlinfo(so, RTLD_DI_LINKMAP, &map) != 0)
		return 0;
	for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_SYMTAB)
			symbols = (const void *)d->d_un.d_ptr;
		if (d->d_tag == DT_GNU_HASH)
			gnu = (const void *)d->d_un.d_ptr;
		if (d->d_tag == DT_HASH)
			sysv = (const void *)d->d_un.d_ptr;
	}
	if (sysv) {
		n = sysv[1];
	} else if (gnu) { /* buckets, first symbol, words of the filter, shift; the last chain of the last bucket ends with an odd hash */
		const uint32_t *buckets = gnu + 4 + gnu[2] * (sizeof(ElfW(Addr)) / 4), *chains = buckets + gnu[0];
		for (uint32_t b = 0; b < gnu[0]; b++)
			n = buckets[b] > n ? buckets[b] : n;
		while (n >= gnu[1] && n && !(chains[n - gnu[1]] & 1))
			n++;
		n += n > 0;
	}
	for (size_t i = 1; symbols && i < n; i++)
		exported += symbols[i].st_shndx != SHN_UNDEF && symbols[i].st_shndx != SHN_ABS && ELF64_ST_BIND(symbols[i].st_info) != STB_LOCAL;
	return exported;
}

static void check_file(check *c)
{
	void *so = dlopen(c->config->file, RTLD_NOW | RTLD_NOLOAD); /* it is loaded already */
	size_t n = so ? count_exports(so) : 0;
	if (n != 1)
		check_fails(c, "it exports %zu symbols, not sn_plugin_entry_1 alone (-fvisibility=hidden, -Wl,--exclude-libs,ALL)", n);
	sn_plugin_entry_fn *entry;
	*(void **)&entry = so ? dlsym(so, "sn_plugin_entry_1") : NULL;
	if (entry && entry() != c->list)
		check_fails(c, "its entry returns another list when it is asked again");
}

static bool in_words(const char *words, const char *word)
{
	size_t n = strlen(word);
	for (const char *at = words; at && (at = strstr(at, word)); at += n)
		if ((at == words || at[-1] == ' ') && (at[n] == 0 || at[n] == ' '))
			return true;
	return false;
}

static void check_descriptors(check *c)
{
	static const char *const known[] = {SN_EXT_DECODE, SN_EXT_PLAN, SN_EXT_ENCODE, SN_EXT_WRITE, SN_EXT_TRANSCRIBE};
	for (uint32_t i = 0; i < c->list->n_plugins; i++) {
		const sn_plugin *d = c->list->plugins[i];
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(d->id, c->list->plugins[j]->id) == 0)
				check_fails(c, "two of its plugins have the id %s", d->id);
		if (!d->license || !*d->license || !d->summary || !*d->summary)
			check_fails(c, "%s: license (SPDX) and summary are shown to users and must not be empty", d->id);
		for (size_t k = 0; k < sizeof known / sizeof *known; k++)
			if (!d->extension(known[k]) != !in_words(d->extensions, known[k]))
				check_fails(c, "%s: the text `extensions` and extension() disagree about %s", d->id, known[k]);
		if (d->extension("") || d->extension("sn.no-such-thing/1"))
			check_fails(c, "%s: extension() must return NULL for what it does not know", d->id);
		const sn_ext_decode *codec = d->extension(SN_EXT_DECODE);
		if (codec && codec->sniff(NULL, 0))
			check_fails(c, "%s: sniff claims a file without bytes", d->id);
	}
}

/* ---- life cycle ---- */

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

static void check_lifecycle(check *c)
{
	for (uint32_t i = 0; i < c->list->n_plugins; i++)
		lives_of(c, c->list->plugins[i]);
}

/* Calls before load have nothing to work with: they must say so, not crash. */
static void calls_before_load(life *l)
{
	sn_fault fault = {.size = sizeof fault};
	sn_media media = {.size = sizeof media, .kind = SN_MEDIA_DATA, .width = 4, .height = 4, .n_frames = 1, .bytes = 48};
	const sn_media_limits limits = {.size = sizeof limits};
	if (l->codec)
		l->codec->measure(l->instance, NULL, (const uint8_t *)"", 0, &limits, &media, &fault);
	if (l->plan) {
		sn_media_plan plan = {.size = sizeof plan};
		media.kind = l->plan->kind;
		l->plan->marker(l->instance);
		l->plan->row_token(l->instance);
		l->plan->row_dim(l->instance);
		if (l->plan->size > SN_EXT_PLAN_MIN_SIZE && l->plan->media_rate)
			l->plan->media_rate(l->instance);
		l->plan->plan(l->instance, NULL, &media, &plan, &fault);
	}
}

static void check_orders(check *c)
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
		}
		life_close(&l);
		if (other.instance)
			life_close(&other);
		if (!check_failed(c) && check_host_held(c->host) != held)
			check_fails(c, "%s: %zu bytes of sn.host.memory are left behind", d->id, check_host_held(c->host) - held);
	}
}

/* ---- memory that runs out ---- */

/* One life with everything in it, of which request k for memory fails. *asked: how many there were. */
static void life_without(check *c, const sn_plugin *d, uint64_t k, uint64_t *asked)
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
		if (rc != SN_RC_OK) {
			check_fault(c, call, rc, &fault);
			if (rc != SN_RC_NOMEM && k)
				check_fails(c, "%s: %s returned %d when memory ran out, not SN_RC_NOMEM", d->id, call, rc);
		} else if (l.codec) {
			check_pass_codec(&l);
		} else if (l.encode) {
			check_pass_encoder(&l);
		}
	}
	life_close(&l);
	*asked = atomic_load(&c->host->n_asked);
}

static void check_memory(check *c)
{
	size_t held = check_host_held(c->host);
	uint64_t total = 0;
	for (uint32_t i = 0; i < c->list->n_plugins; i++) {
		const sn_plugin *d = c->list->plugins[i];
		uint64_t all, asked;
		life_without(c, d, 0, &all);
		if (all > MAX_REQUESTS)
			check_fails(c, "%s asks for memory more than %d times", d->id, MAX_REQUESTS);
		for (uint64_t k = 1; k <= all && !check_failed(c); k++) {
			life_without(c, d, k, &asked);
			if (check_host_held(c->host) != held)
				check_fails(c, "%s: %zu bytes are left behind when request %llu of %llu for memory fails", d->id,
				            check_host_held(c->host) - held, (unsigned long long)k, (unsigned long long)all);
		}
		total += all;
	}
	check_host_reset(c->host);
	if (!check_failed(c))
		snprintf(c->out->text, sizeof c->out->text, "each of %llu requests failed once", (unsigned long long)total);
}

/* ---- threads ---- */

static void check_threads(check *c)
{
	for (uint32_t i = 0; i < c->list->n_plugins && !check_failed(c); i++) {
		life l;
		c->host->watch = true;
		if (life_start(&l, c, c->list->plugins[i]))
			l.codec ? check_pass_codec(&l) : check_pass_encoder(&l);
		life_close(&l);
		check_violation(c);
		check_host_reset(c->host);
		if (!check_failed(c) && life_start(&l, c, c->list->plugins[i]))
			l.codec ? check_threads_codec(&l) : check_threads_encoder(&l);
		life_close(&l);
	}
}

/* ---- the table ---- */

static const struct {
	const char *name, *meaning;
	void (*run)(check *c);
	bool codecs, encoders; /* whom it is for; neither: everybody */
} table[] = {
    {"file", "one exported symbol; the entry is a constant", check_file, false, false},
    {"descriptors", "ids, texts and extensions agree", check_descriptors, false, false},
    {"lifecycle", "init, load, fini a thousand times: no memory, no file left", check_lifecycle, false, false},
    {"orders", "too early, twice, after the end, cancelled in every state", check_orders, false, false},
    {"memory", "every request for memory fails once", check_memory, false, false},
    {"threads", "services only where they are allowed; [any] calls at once", check_threads, false, false},
    {"samples", "decoded twice: the same, every byte filled, nothing beside", check_samples, true, false},
    {"limits", "each limit exactly at and one below the file's value", check_limits, true, false},
    {"garbage", "empty, cut, random and damaged files against guard pages", check_garbage, true, false},
    {"rows", "same rows however sliced, in any company, on a device that forbids looking", check_rows, false, true},
};

enum { N_CHECKS = sizeof table / sizeof *table };

size_t sn_check_count(void)
{
	return N_CHECKS;
}

const char *sn_check_name(size_t i)
{
	return i < N_CHECKS ? table[i].name : NULL;
}

const char *sn_check_meaning(size_t i)
{
	return i < N_CHECKS ? table[i].meaning : NULL;
}

static bool has(const sn_plugin_list *list, const char *extension)
{
	for (uint32_t i = 0; i < list->n_plugins; i++)
		if (list->plugins[i]->extension(extension))
			return true;
	return false;
}

void sn_check_run(const sn_check_config *config, const char *name, sn_check_result *out)
{
	check c = {.config = config, .out = out};
	sn_error err;
	char detail[256] = "";
	size_t i = 0;
	*out = (sn_check_result){.verdict = SN_CHECK_PASS};
	while (i < N_CHECKS && strcmp(table[i].name, name) != 0)
		i++;
	const char *why = i == N_CHECKS ? "there is no such check" : plugin_file_problem(config->file);
	if (!why)
		c.list = plugin_file_load(config->file, &why, detail);
	if (why) {
		check_fails(&c, "%s%s%s", why, *detail ? ": " : "", detail);
		return;
	}
	bool decodes = has(c.list, SN_EXT_DECODE), encodes = has(c.list, SN_EXT_ENCODE);
	if ((table[i].codecs || table[i].encoders) && !(table[i].codecs && decodes) && !(table[i].encoders && encodes)) {
		out->verdict = SN_CHECK_NOT_APPLICABLE;
		return;
	}
	if (check_host_open(&c.host, config->log, &err) != SN_OK) {
		check_fails(&c, "%s", err.text);
		return;
	}
	table[i].run(&c);
	check_host_close(&c.host);
}
