/* Discovery and life cycle: which shared objects may be loaded, the stamp check, codec instances, encoders of models. */
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "plugin/host.h"



enum { MAX_PLUGINS = 256, MAX_INSTANCE = 1 << 24 };

sn_rc host_fault(sn_fault *fault, sn_rc code, sn_blame blame, const char *fmt, ...)
{
	va_list ap;
	fault->code = code;
	fault->retryable = code == SN_RC_NOMEM;
	fault->blame = (uint8_t)blame;
	va_start(ap, fmt);
	vsnprintf(fault->text, sizeof fault->text, fmt, ap);
	va_end(ap);
	return code;
}

sn_status fault_to_error(plugin *p, sn_rc rc, const sn_fault *fault, sn_error *err)
{
	sn_status st = SN_ERR_PLUGIN;
	switch (rc) {
	case SN_RC_INVALID: st = SN_ERR_INVALID; break;
	case SN_RC_UNSUPPORTED: st = SN_ERR_UNSUPPORTED; break;
	case SN_RC_TOO_LARGE: st = SN_ERR_TOO_LARGE; break;
	case SN_RC_NOMEM: st = SN_ERR_NOMEM; break;
	case SN_RC_CANCELLED: st = SN_ERR_CANCELLED; break;
	default: break;
	}
	if (fault->blame == SN_BLAME_PLUGIN)
		st = SN_ERR_PLUGIN;
	if (st == SN_ERR_PLUGIN)
		atomic_fetch_add(&p->failures, 1);
	return error_set(err, st, "%.*s", (int)strnlen(fault->text, sizeof fault->text), *fault->text ? fault->text : "a plugin failed without saying why");
}

/* ---- loading one file ---- */

static plugin *add_plugin(plugin_host *h, const char *file)
{
	if (h->n_plugins == h->cap)
		return NULL;
	plugin *p = arena_alloc(h->mem, sizeof *p);
	if (!p)
		return NULL;
	snprintf(p->file, sizeof p->file, "%s", file);
	h->plugins[h->n_plugins++] = p;
	return p;
}

static void refuse(plugin_host *h, const char *file, const char *why)
{
	plugin *p = add_plugin(h, file);
	if (p)
		snprintf(p->reason, sizeof p->reason, "%s", why);
	log_warn(h->log, "plugin", NULL, "%s: refused: %s", file, why);
}

/* What differs between the stamp and this build, NULL if nothing does. */
static const char *stamp_mismatch(const sn_stamp *s)
{
	static const sn_stamp ours = SN_PLUGIN_STAMP;
	if (memcmp(s->magic, ours.magic, sizeof ours.magic) != 0)
		return "its stamp does not begin with SNPLUG1";
	if (s->size != ours.size || s->sizeof_plugin != ours.sizeof_plugin || s->sizeof_fault != ours.sizeof_fault ||
	    s->sizeof_host != ours.sizeof_host || s->sizeof_pointer != ours.sizeof_pointer)
		return "struct sizes differ from this build's";
	if (s->abi_major != ours.abi_major)
		return "built for another major version of the contract";
	if (s->abi_minor > ours.abi_minor)
		return "built for a newer minor version of the contract";
	return s->big_endian ? "built for a big-endian machine" : NULL;
}

static const char *descriptor_problem(const plugin_host *h, const sn_plugin *d)
{
	if (!d || d->size < sizeof *d || !d->id || !*d->id || !d->version || !d->init || !d->load || !d->fini || !d->extension)
		return "a descriptor lacks required members";
	if (d->instance_size > MAX_INSTANCE)
		return "its instance is larger than 16 MiB";
	for (const char *c = d->id; *c; c++)
		if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-'))
			return "its id is not made of a-z, 0-9 and -";
	for (size_t i = 0; i < h->n_plugins; i++)
		if (h->plugins[i]->desc && strcmp(h->plugins[i]->desc->id, d->id) == 0)
			return "a plugin of this id is loaded already";
	return NULL;
}

static void *instance_new(const sn_plugin *d)
{
	size_t n = ((size_t)d->instance_size + 63) / 64 * 64 + 64;
	void *p = aligned_alloc(64, n);
	return p ? memset(p, 0, n) : NULL;
}

static void add_descriptor(plugin_host *h, const char *file, const sn_plugin *d)
{
	const char *why = descriptor_problem(h, d);
	plugin *p = why ? NULL : add_plugin(h, file);
	if (!p) {
		refuse(h, file, why ? why : "too many plugins");
		return;
	}
	p->decode = d->extension(SN_EXT_DECODE);
	p->plan = d->extension(SN_EXT_PLAN);
	p->encode = d->extension(SN_EXT_ENCODE);
	p->write = d->extension(SN_EXT_WRITE);
	if (p->decode && p->decode->size >= sizeof *p->decode) {
		sn_fault fault = {.size = sizeof fault};
		p->instance = instance_new(d);
		sn_rc rc = p->instance ? d->init(p->instance, &h->face, &fault) : SN_RC_NOMEM;
		if (rc == SN_RC_OK)
			rc = d->load(p->instance, NULL, &fault);
		if (rc != SN_RC_OK) {
			snprintf(p->reason, sizeof p->reason, "it did not start: %.200s", fault.text);
			free(p->instance);
			p->instance = NULL;
			log_warn(h->log, "plugin", NULL, "%s: refused: %s", file, p->reason);
			return;
		}
	}
	p->desc = d;
	log_info(h->log, "plugin", NULL, "%s %s from %s: %s", d->id, d->version, file, d->extensions ? d->extensions : "");
}

static void load_file(plugin_host *h, const char *dir, const char *file)
{
	char path[4352];
	struct stat st;
	snprintf(path, sizeof path, "%s/%s", dir, file);
	if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
		refuse(h, file, "not a regular file");
		return;
	}
	if ((st.st_mode & S_IWOTH) || (st.st_uid != 0 && st.st_uid != geteuid())) {
		refuse(h, file, "others may write it");
		return;
	}
	void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!so) {
		log_debug(h->log, "plugin", NULL, "%s", dlerror());
		refuse(h, file, "not a shared object for this machine, or its libraries are missing");
		return;
	}
	sn_plugin_entry_fn *entry;
	*(void **)&entry = dlsym(so, "sn_plugin_entry_1");
	const sn_plugin_list *list = entry ? entry() : NULL;
	const char *why = !entry ? "it does not export sn_plugin_entry_1" : !list ? "its entry returns nothing" : stamp_mismatch(&list->stamp);
	if (why) {
		refuse(h, file, why);
		return;
	}
	for (uint32_t i = 0; i < list->n_plugins && i < MAX_PLUGINS; i++)
		add_descriptor(h, file, list->plugins[i]);
}

static int is_shared_object(const struct dirent *e)
{
	size_t n = strlen(e->d_name);
	return n > 3 && n < 128 && strcmp(e->d_name + n - 3, ".so") == 0;
}

static sn_status load_folder(plugin_host *h, const char *dir, sn_error *err)
{
	struct stat st;
	struct dirent **files;
	if (dir[0] != '/' || strlen(dir) > 4096)
		return error_set(err, SN_ERR_INVALID, "the plugin folder must be an absolute path");
	if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
		return error_set(err, SN_ERR_NOT_FOUND, "the plugin folder does not exist");
	if ((st.st_mode & S_IWOTH) || (st.st_uid != 0 && st.st_uid != geteuid()))
		return error_set(err, SN_ERR_INVALID, "the plugin folder belongs to another user or is world-writable");
	int n = scandir(dir, &files, is_shared_object, alphasort);
	if (n < 0)
		return error_set(err, SN_ERR_IO, "the plugin folder cannot be read");
	for (int i = 0; i < n; i++) {
		load_file(h, dir, files[i]->d_name);
		free(files[i]);
	}
	free(files);
	return SN_OK;
}

sn_status plugin_host_open(plugin_host **out, const char *dir, size_t budget, pool *threads, sn_log *log, sn_error *err)
{
	arena *mem = arena_open(0);
	plugin_host *h = mem ? arena_alloc(mem, sizeof *h) : NULL;
	if (h)
		h->plugins = arena_array(mem, MAX_PLUGINS, sizeof(plugin *));
	if (!h || !h->plugins) {
		arena_close(&mem);
		return error_set(err, SN_ERR_NOMEM, "no memory for plugins");
	}
	h->face = (sn_host){sizeof(sn_host), 0, host_service};
	h->log = log;
	h->threads = threads;
	h->mem = mem;
	h->cap = MAX_PLUGINS;
	h->budget = budget;
	sn_status st = dir ? load_folder(h, dir, err) : SN_OK;
	if (st)
		plugin_host_close(&h);
	*out = h;
	return st;
}

void plugin_host_close(plugin_host **hp)
{
	plugin_host *h = *hp;
	if (!h)
		return;
	for (size_t i = 0; i < h->n_plugins; i++) {
		plugin *p = h->plugins[i];
		if (p->instance) {
			p->desc->fini(p->instance);
			free(p->instance);
		}
	}
	arena *mem = h->mem;
	arena_close(&mem);
	*hp = NULL;
}

/* ---- encoders ---- */

static plugin *surest(plugin_host *h, const struct sn_model *m)
{
	plugin *best = NULL;
	int32_t best_score = 0;
	for (size_t i = 0; i < h->n_plugins; i++) {
		plugin *p = h->plugins[i];
		if (!p->desc || !p->plan || !p->encode || !p->desc->probe)
			continue;
		int32_t score = p->desc->probe(&h->face, m);
		if (score > best_score) {
			best = p;
			best_score = score;
		}
	}
	return best;
}

sn_status encoder_open(encoder **out, plugin_host *h, const char *path, ops *o, sn_error *err)
{
	arena *mem = arena_open(0);
	encoder *e = mem ? arena_alloc(mem, sizeof *e) : NULL;
	struct sn_model *m = e ? arena_alloc(mem, sizeof *m) : NULL;
	if (!m) {
		arena_close(&mem);
		return error_set(err, SN_ERR_NOMEM, "no memory for an encoder");
	}
	*m = (struct sn_model){.o = o, .mem = mem};
	*e = (encoder){.model = m, .id = ++h->n_encoders};
	sn_status st = model_file_open(&m->file, path, err);
	if (st)
		goto fail;
	e->p = surest(h, m);
	if (!e->p) {
		str type = {0};
		file_str(m->file, "clip.projector_type", &type);
		st = error_set(err, SN_ERR_UNSUPPORTED, "%s: no plugin serves this file (projector \"%.*s\")", m->file->name,
		               type.n > 32 ? 32 : (int)type.n, type.p ? type.p : "");
		goto fail;
	}
	sn_fault fault = {.size = sizeof fault};
	e->instance = instance_new(e->p->desc);
	sn_rc rc = e->instance ? e->p->desc->init(e->instance, &h->face, &fault) : SN_RC_NOMEM;
	if (rc == SN_RC_OK)
		rc = e->p->desc->load(e->instance, m, &fault);
	if (rc != SN_RC_OK) {
		free(e->instance);
		e->instance = NULL;
		st = error_set(err, rc == SN_RC_UNSUPPORTED ? SN_ERR_UNSUPPORTED : SN_ERR_INVALID, "%s: %.240s", m->file->name, fault.text);
		goto fail;
	}
	log_info(h->log, "plugin", NULL, "%s serves %s", e->p->desc->id, m->file->name);
	*out = e;
	return SN_OK;
fail:
	encoder_close(&e);
	return st;
}

void encoder_close(encoder **ep)
{
	encoder *e = *ep;
	if (!e)
		return;
	if (e->instance) {
		e->p->desc->fini(e->instance);
		free(e->instance);
	}
	struct sn_model *m = e->model;
	arena *mem = m->mem;
	model_file_close(&m->file);
	arena_close(&mem); /* e and m live in it */
	*ep = NULL;
}

const model_file *encoder_file(const encoder *e)
{
	return e->model->file;
}
