/* Discovery: which shared objects may be loaded, the stamp check, the list of plugins, codec instances. */
#include <dirent.h>
#include <elf.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "plugin/isolate.h"

enum { MAX_INSTANCE = 1 << 24 };

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

static void count_failure(plugin *p)
{
	atomic_fetch_add(&p->failures, 1);
	atomic_fetch_add(&p->failed_in_a_row, 1);
}

/* What a plugin says is shown to clients and logged: plain text or nothing. */
static const char *plain_text(const sn_fault *fault, char out[sizeof fault->text])
{
	size_t n = strnlen(fault->text, sizeof fault->text - 1);
	for (size_t i = 0; i < n; i++)
		out[i] = fault->text[i] >= 0x20 && fault->text[i] < 0x7F ? fault->text[i] : '?';
	out[n] = 0;
	return n ? out : "a plugin failed without saying why";
}

sn_status fault_to_error(plugin *p, sn_rc rc, const sn_fault *fault, sn_error *err)
{
	sn_status st = SN_ERR_PLUGIN;
	char text[sizeof fault->text];
	switch (rc) {
	case SN_RC_INVALID: st = SN_ERR_INVALID; break;
	case SN_RC_UNSUPPORTED: st = SN_ERR_UNSUPPORTED; break;
	case SN_RC_TOO_LARGE: st = SN_ERR_TOO_LARGE; break;
	case SN_RC_NOMEM: st = SN_ERR_NOMEM; break;
	case HOST_RC_BUSY: st = SN_ERR_QUEUE_FULL; break;
	case HOST_RC_ENDING: st = SN_ERR_DRAINING; break;
	case HOST_RC_DIED: /* of this file, for all we know: sent again, it would end the next helper */
		count_failure(p);
		st = SN_ERR_INVALID;
		break;
	default: break; /* also CANCELLED: nobody had cancelled */
	}
	if (fault->blame == SN_BLAME_PLUGIN)
		st = SN_ERR_PLUGIN;
	if (st == SN_ERR_PLUGIN)
		count_failure(p);
	return error_set(err, st, "%s", plain_text(fault, text));
}

sn_status plugin_broke(plugin *p, sn_error *err, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	count_failure(p);
	return error_set(err, SN_ERR_PLUGIN, "%s: %s", p->desc->id, text);
}

/* ---- loading one file ---- */

/* Appends a whole entry; readers see it from now on. */
static void publish(plugin_host *h, plugin *p)
{
	size_t n = atomic_load_explicit(&h->n_plugins, memory_order_relaxed);
	h->plugins[n] = p;
	atomic_store_explicit(&h->n_plugins, n + 1, memory_order_release);
}

static plugin *plugin_new(plugin_host *h, const char *file)
{
	plugin *p = plugin_count(h) < MAX_PLUGINS ? arena_alloc(h->mem, sizeof *p) : NULL;
	if (p)
		snprintf(p->file, sizeof p->file, "%.127s", file);
	return p;
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

static bool is_name(const char *s, size_t max)
{
	size_t n = s ? strnlen(s, max + 1) : 0;
	return n > 0 && n <= max && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == n;
}

static const char *extension_problem(const sn_plugin *d)
{
	const sn_ext_decode *codec = d->extension(SN_EXT_DECODE);
	const sn_ext_clip *clip = d->extension(SN_EXT_CLIP);
	const sn_ext_plan *plan = d->extension(SN_EXT_PLAN);
	const sn_ext_encode *encode = d->extension(SN_EXT_ENCODE);
	const sn_ext_write *writer = d->extension(SN_EXT_WRITE);
	const sn_ext_watch *watch = d->extension(SN_EXT_WATCH);
	const sn_ext_transcribe *transcribe = d->extension(SN_EXT_TRANSCRIBE);
	const sn_ext_speak *speak = d->extension(SN_EXT_SPEAK);
	const sn_ext_synth *synth = d->extension(SN_EXT_SYNTH);
	if (writer && (writer->size < SN_EXT_WRITE_MIN_SIZE || !writer->media_types || !writer->bound || !writer->write))
		return "its " SN_EXT_WRITE " lacks required members";
	if (writer && sn_write_has_streams(writer) &&
	    (!writer->stream_push || !writer->stream_finish || !writer->stream_take || !writer->stream_close))
		return "its " SN_EXT_WRITE " has only some of the members for streams";
	if (codec && (codec->size < SN_EXT_DECODE_MIN_SIZE || !codec->media_types || !codec->sniff || !codec->measure || !codec->decode))
		return "its " SN_EXT_DECODE " lacks required members";
	if (clip && (clip->size < SN_EXT_CLIP_MIN_SIZE || !clip->media_types || !clip->sniff || !clip->look || !clip->times || !clip->read))
		return "its " SN_EXT_CLIP " lacks required members";
	if (plan && (plan->size < SN_EXT_PLAN_MIN_SIZE || !plan->marker || !plan->row_token || !plan->row_dim || !plan->plan || !plan->layout))
		return "its " SN_EXT_PLAN " lacks required members";
	if (encode && (encode->size < sizeof *encode || !encode->begin || !encode->step || !encode->end))
		return "its " SN_EXT_ENCODE " lacks required members";
	if (!plan != !encode)
		return SN_EXT_PLAN " and " SN_EXT_ENCODE " come together or not at all";
	if (transcribe && (transcribe->size < sizeof *transcribe || !transcribe->describe || !transcribe->cut))
		return "its " SN_EXT_TRANSCRIBE " lacks required members";
	if (transcribe && !plan)
		return SN_EXT_TRANSCRIBE " comes with " SN_EXT_PLAN;
	if (watch && (watch->size < SN_EXT_WATCH_MIN_SIZE || !watch->marker || !watch->sample || !watch->layout))
		return "its " SN_EXT_WATCH " lacks required members";
	if (watch && !plan)
		return SN_EXT_WATCH " comes with " SN_EXT_PLAN;
	if (plan && !d->probe)
		return "an encoder needs a probe";
	if (speak && (speak->size < SN_EXT_SPEAK_MIN_SIZE || !speak->describe))
		return "its " SN_EXT_SPEAK " lacks required members";
	if (synth && (synth->size < sizeof *synth || !synth->describe || !synth->plan || !synth->begin || !synth->step || !synth->end))
		return "its " SN_EXT_SYNTH " lacks required members";
	if (speak && !synth)
		return SN_EXT_SPEAK " comes with " SN_EXT_SYNTH;
	if (synth && !d->probe)
		return "a speaker needs a probe";
	if (synth && plan && !speak)
		return "an encoder and a decoder are two plugins, unless they are a speaker that hears whom it is to speak like: " SN_EXT_SPEAK;
	if ((codec && !is_name(codec->kind_name, KIND_NAME_MAX)) || (clip && !is_name(clip->kind_name, KIND_NAME_MAX)) || (plan && !is_name(plan->kind_name, KIND_NAME_MAX)) ||
	    (watch && !is_name(watch->kind_name, KIND_NAME_MAX)))
		return "its kind's name is not made of 1 to 31 of a-z, 0-9, - and _";
	return NULL;
}

const char *plugin_descriptor_problem(const sn_plugin *d)
{
	if (!d || d->size < sizeof *d || !d->id || !*d->id || !d->version || !*d->version || !d->init || !d->load || !d->fini || !d->extension)
		return "a descriptor lacks required members";
	if (d->instance_size > MAX_INSTANCE)
		return "its instance is larger than 16 MiB";
	if (!is_name(d->id, 63) || strchr(d->id, '_'))
		return "its id is not made of 1 to 63 of a-z, 0-9 and -";
	return extension_problem(d);
}

size_t plugin_instance_bytes(const sn_plugin *d)
{
	return ((size_t)d->instance_size + 63) / 64 * 64 + 64;
}

size_t plugin_host_bytes(const plugin_host *h)
{
	size_t sum = atomic_load(&h->held);
	for (size_t i = 0, n = plugin_count(h); i < n; i++)
		sum += h->plugins[i]->instance ? plugin_instance_bytes(h->plugins[i]->desc) : 0;
	return sum;
}

void *plugin_instance_new(const sn_plugin *d)
{
	size_t n = plugin_instance_bytes(d);
	void *p = aligned_alloc(64, n);
	return p ? memset(p, 0, n) : NULL;
}

/* First bytes of an ELF file, up to the machine's number. */
static bool elf_head(const char *path, uint8_t out[20])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool ok = fd >= 0 && read(fd, out, 20) == 20 && memcmp(out, ELFMAG, SELFMAG) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

const char *plugin_file_problem(const char *path)
{
	struct stat st;
	uint8_t ours[20], head[20];
	int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	bool known = self >= 0 && read(self, ours, sizeof ours) == sizeof ours;
	if (self >= 0)
		close(self);
	if (lstat(path, &st) != 0)
		return "there is no such file";
	if (!S_ISREG(st.st_mode))
		return "not a regular file";
	if ((st.st_mode & S_IWOTH) || (st.st_uid != 0 && st.st_uid != geteuid()))
		return "others may write it";
	if (!elf_head(path, head))
		return "not an ELF file";
	if (known && (head[EI_CLASS] != ours[EI_CLASS] || head[EI_DATA] != ours[EI_DATA] || memcmp(head + 18, ours + 18, 2) != 0))
		return "built for another machine";
	return NULL;
}

const sn_plugin_list *plugin_file_load(const char *path, const char **why, char detail[256])
{
	void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	*why = NULL;
	*detail = 0;
	if (!so) {
		const char *text = dlerror();
		snprintf(detail, 256, "%s", text ? text : "");
		*why = "the loader refuses it: a damaged file, or a library or symbol that it needs is missing";
		return NULL;
	}
	sn_plugin_entry_fn *entry;
	*(void **)&entry = dlsym(so, "sn_plugin_entry_1");
	const sn_plugin_list *list = entry ? entry() : NULL;
	*why = !entry ? "it does not export sn_plugin_entry_1" : !list ? "its entry returns nothing" : stamp_mismatch(&list->stamp);
	if (!*why && (!list->plugins || list->n_plugins == 0 || list->n_plugins > MAX_DESCRIPTORS))
		*why = "it lists no plugins, or more than 16";
	for (uint32_t i = 0; !*why && i < list->n_plugins; i++)
		*why = plugin_descriptor_problem(list->plugins[i]);
	return *why ? NULL : list;
}

/* Ids are unique in the process: a second version waits for a restart. */
static const char *taken(const plugin_host *h, const sn_plugin_list *list)
{
	for (uint32_t i = 0; i < list->n_plugins; i++) {
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(list->plugins[i]->id, list->plugins[j]->id) == 0)
				return "two of its plugins have one id";
		for (size_t j = 0; j < plugin_count(h); j++)
			if (h->plugins[j]->desc && strcmp(h->plugins[j]->desc->id, list->plugins[i]->id) == 0)
				return "a plugin of this id is loaded already; another version can take its place after a restart";
	}
	return NULL;
}

/* Codecs serve the process: their instance starts here. */
static bool start_codec(plugin_host *h, plugin *p, char reason[256])
{
	const sn_plugin *d = p->desc;
	sn_fault fault = {.size = sizeof fault};
	p->instance = plugin_instance_new(d);
	sn_rc rc = p->instance ? d->init(p->instance, &h->face, &fault) : SN_RC_NOMEM;
	bool begun = p->instance && rc == SN_RC_OK;
	if (begun)
		rc = d->load(p->instance, NULL, &fault);
	if (rc == SN_RC_OK)
		return true;
	char text[sizeof fault.text];
	snprintf(reason, 256, "%.60s did not start: %.170s", d->id, plain_text(&fault, text));
	if (begun)
		d->fini(p->instance);
	free(p->instance);
	p->instance = NULL;
	return false;
}

/* All of a file's plugins, or none. On failure reason tells why. */
static bool load_file(plugin_host *h, const char *file, char reason[256])
{
	char path[PATH_MAX], detail[256];
	plugin *made[MAX_DESCRIPTORS] = {NULL};
	uint32_t n = 0;
	snprintf(path, sizeof path, "%s/%s", h->dir, file);
	const char *why = plugin_file_problem(path);
	const sn_plugin_list *list = why ? NULL : plugin_file_load(path, &why, detail);
	if (list)
		why = taken(h, list);
	else if (!why || *detail)
		log_debug(h->log, "plugin", NULL, "%s", detail);
	if (!why && plugin_count(h) + list->n_plugins > MAX_PLUGINS)
		why = "too many plugins";
	if (why)
		snprintf(reason, 256, "%s", why);
	bool ok = !why;
	for (; ok && n < list->n_plugins; n++) {
		const sn_plugin *d = list->plugins[n];
		plugin *p = made[n] = plugin_new(h, file);
		ok = p;
		if (!p) {
			snprintf(reason, 256, "no memory for another plugin");
			break;
		}
		p->desc = d;
		p->decode = d->extension(SN_EXT_DECODE);
		p->clip = d->extension(SN_EXT_CLIP);
		p->plan = d->extension(SN_EXT_PLAN);
		p->encode = d->extension(SN_EXT_ENCODE);
		p->watch = d->extension(SN_EXT_WATCH);
		p->write = d->extension(SN_EXT_WRITE);
		p->transcribe = d->extension(SN_EXT_TRANSCRIBE);
		p->speak = d->extension(SN_EXT_SPEAK);
		p->synth = d->extension(SN_EXT_SYNTH);
		ok = (!p->decode && !p->clip) || start_codec(h, p, reason);
	}
	for (uint32_t i = 0; i < n; i++) {
		plugin *p = made[i];
		if (ok) {
			publish(h, p);
			log_info(h->log, "plugin", NULL, "%s %s from %s: %s", p->desc->id, p->desc->version, file, p->desc->extensions ? p->desc->extensions : "");
		} else if (p->instance) {
			p->desc->fini(p->instance);
			free(p->instance);
		}
	}
	if (!ok)
		log_warn(h->log, "plugin", NULL, "%s: refused: %s", file, reason);
	return ok;
}

/* What is refused at start is listed, with the reason. */
static void list_refused(plugin_host *h, const char *file, const char *reason)
{
	plugin *p = plugin_new(h, file);
	if (!p)
		return;
	snprintf(p->reason, sizeof p->reason, "%s", reason);
	publish(h, p);
}

static const char *folder_problem(const char *dir)
{
	struct stat st;
	if (dir[0] != '/')
		return "the plugin folder must be an absolute path";
	if (lstat(dir, &st) != 0)
		return "the plugin folder does not exist";
	if (!S_ISDIR(st.st_mode))
		return "the plugin folder is not a folder (a symbolic link is not followed)";
	if ((st.st_mode & S_IWOTH) || (st.st_uid != 0 && st.st_uid != geteuid()))
		return "the plugin folder belongs to another user or is world-writable";
	return NULL;
}

static int is_shared_object(const struct dirent *e)
{
	size_t n = strlen(e->d_name);
	return n > 3 && n < 128 && strcmp(e->d_name + n - 3, ".so") == 0;
}

static sn_status load_folder(plugin_host *h, sn_error *err)
{
	struct dirent **files;
	char reason[256];
	const char *why = folder_problem(h->dir);
	if (why)
		return error_set(err, h->dir[0] == '/' && access(h->dir, F_OK) ? SN_ERR_NOT_FOUND : SN_ERR_INVALID, "%s", why);
	int n = scandir(h->dir, &files, is_shared_object, alphasort);
	if (n < 0)
		return error_set(err, SN_ERR_IO, "the plugin folder cannot be read");
	for (int i = 0; i < n; i++) {
		if (!load_file(h, files[i]->d_name, reason))
			list_refused(h, files[i]->d_name, reason);
		free(files[i]);
	}
	free(files);
	return SN_OK;
}

sn_status plugin_host_add(plugin_host *h, const char *file, sn_error *err)
{
	char reason[256];
	size_t n = strlen(file);
	if (!h->dir)
		return error_set(err, SN_ERR_UNSUPPORTED, "this server has no plugin folder");
	if (n < 4 || n >= sizeof h->plugins[0]->file || strchr(file, '/') || file[0] == '.' || strcmp(file + n - 3, ".so") != 0)
		return error_param(err, SN_ERR_INVALID, "file", "file must be the plain name of a .so file in the plugin folder");
	pthread_mutex_lock(&h->adding);
	sn_status st = SN_OK;
	const char *why = folder_problem(h->dir);
	for (size_t i = 0; i < plugin_count(h) && !why; i++)
		if (h->plugins[i]->desc && strcmp(h->plugins[i]->file, file) == 0)
			why = "this file is loaded already; another version can take its place after a restart";
	if (why)
		st = error_param(err, SN_ERR_INVALID, "file", "the plugin was refused: %s", why);
	else if (!load_file(h, file, reason))
		st = error_param(err, SN_ERR_INVALID, "file", "the plugin was refused: %s", reason);
	pthread_mutex_unlock(&h->adding);
	return st;
}

sn_status plugin_host_open(plugin_host **out, const char *dir, size_t budget, pool *threads, sn_log *log, sn_error *err)
{
	arena *mem = arena_open(0);
	plugin_host *h = mem ? arena_alloc(mem, sizeof *h) : NULL;
	if (h) {
		h->plugins = arena_array(mem, MAX_PLUGINS, sizeof(plugin *));
		h->dir = dir ? arena_strndup(mem, dir, strlen(dir)) : NULL;
	}
	if (!h || !h->plugins || (dir && !h->dir)) {
		arena_close(&mem);
		return error_set(err, SN_ERR_NOMEM, "no memory for plugins");
	}
	h->face = (sn_host){sizeof(sn_host), 0, host_service};
	h->log = log;
	h->threads = threads;
	h->mem = mem;
	h->budget = budget;
	pthread_mutex_init(&h->adding, NULL);
	sn_status st = dir ? load_folder(h, err) : SN_OK;
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
	isolate_close(&h->isolate);
	for (size_t i = 0; i < plugin_count(h); i++) {
		plugin *p = h->plugins[i];
		if (p->instance) {
			p->desc->fini(p->instance);
			free(p->instance);
		}
	}
	pthread_mutex_destroy(&h->adding);
	arena *mem = h->mem;
	arena_close(&mem);
	*hp = NULL;
}
