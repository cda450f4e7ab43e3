/* check.c - `plugins --check`: the table of checks, how they tell, and the lives that they put a plugin through. */
#include "plugin/check.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "plugin/check_trap.h"

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
	if (rc != SN_RC_NOMEM && check_host_starved(c->host))
		return check_fails(c, "%s returned %d when memory ran out, not SN_RC_NOMEM", call, rc);
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
	*l = (life){.c = c, .d = d, .codec = d->extension(SN_EXT_DECODE), .clip = d->extension(SN_EXT_CLIP), .watch = d->extension(SN_EXT_WATCH), .plan = d->extension(SN_EXT_PLAN), .encode = d->extension(SN_EXT_ENCODE), .write = d->extension(SN_EXT_WRITE),
	             .speak = d->extension(SN_EXT_SPEAK), .synth = d->extension(SN_EXT_SYNTH)};
	l->instance = plugin_instance_new(d);
	if (!l->instance)
		return check_fails(c, "no memory for an instance");
	if (l->codec || (!l->encode && !l->synth))
		return true;
	if (check_model_open(&l->model, c->host, c->config->model, &err) != SN_OK)
		return check_lacks(c, "%s", err.text);
	check_enter(c->host, IN_PROBE);
	int32_t sure = d->probe ? d->probe(&c->host->face, &l->model->real) : 0;
	check_leave(c->host);
	if (sure < 0 || sure > 100)
		return check_fails(c, "%s: probe gave %d, not 0 to 100", d->id, sure);
	if (sure == 0 && check_host_starved(c->host)) /* who had no memory to look cannot say */
		return false;
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

bool check_pass(life *l)
{
	return (!l->codec || check_pass_codec(l)) && (!l->clip || check_pass_clips(l)) && (!l->encode || check_pass_encoder(l)) &&
	       (!l->watch || check_pass_watcher(l)) && (!l->write || check_pass_writer(l)) &&
	       (!l->synth || check_pass_synth(l));
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

/* ---- the table ---- */

static const struct {
	const char *name, *meaning;
	void (*run)(check *c);
	const char *extension; /* whom it is for; NULL: everybody */
} table[] = {
    {"file", "one exported symbol; the entry is a constant", check_file, NULL},
    {"descriptors", "ids, texts and extensions agree", check_descriptors, NULL},
    {"lifecycle", "init, load, fini a thousand times: no memory, no file left", check_lifecycle, NULL},
    {"orders", "too early, twice, after the end, cancelled in every state", check_orders, NULL},
    {"memory", "every request for memory fails once, of the host and of malloc", check_memory, NULL},
    {"threads", "services and malloc only where they are allowed; [any] calls at once", check_threads, NULL},
    {"samples", "decoded twice: the same, every byte filled, nothing beside", check_samples, SN_EXT_DECODE},
    {"limits", "each limit exactly at and one below the file's value", check_limits, SN_EXT_DECODE},
    {"garbage", "empty, cut, random and damaged files against guard pages", check_garbage, SN_EXT_DECODE},
    {"clips", "looked at and read twice, alone and together, wishes, limits, a deadline, garbage", check_clips, SN_EXT_CLIP},
    {"writes", "bound, room to the byte, the same file twice, read again, refusals", check_writes, SN_EXT_WRITE},
    {"rows", "same rows however sliced, in any company, on a device of PROT_NONE pages", check_rows, SN_EXT_ENCODE},
    {"watches", "frames of a clip that are there, in groups, with a place for each in a text; their rows", check_watches, SN_EXT_WATCH},
    {"sound", "same samples however cut into chunks and units, in any company, on a device of PROT_NONE pages", check_sound, SN_EXT_SYNTH},
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
	check_trap trap = {0};
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
	if (table[i].extension && !has(c.list, table[i].extension)) {
		out->verdict = SN_CHECK_NOT_APPLICABLE;
		return;
	}
	if (check_host_open(&c.host, config->log, &err) != SN_OK) {
		check_fails(&c, "%s", err.text);
		return;
	}
	if (!check_alloc_watch(dlopen(config->file, RTLD_NOW | RTLD_NOLOAD)))
		check_fails(&c, "the calls of malloc in it cannot be watched");
	else if (!check_trap_open(&trap, c.host, config->on_crash))
		check_fails(&c, "no memory for the check");
	else
		table[i].run(&c);
	check_trap_close(&trap, c.host);
	check_host_close(&c.host);
}
