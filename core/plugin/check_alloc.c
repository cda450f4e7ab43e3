/* check_alloc.c - see check_alloc.h. */
#include "plugin/check_alloc.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plugin/check_host.h"

enum { MAX_FOLLOWED = 1 << 16 };

/* ---- blocks ---- */

void check_blocks_init(check_blocks *b)
{
	*b = (check_blocks){0};
	pthread_mutex_init(&b->lock, NULL);
}

void check_blocks_fini(check_blocks *b)
{
	pthread_mutex_destroy(&b->lock);
	free(b->p);
	b->p = NULL;
}

size_t check_blocks_count(check_blocks *b)
{
	pthread_mutex_lock(&b->lock);
	size_t n = b->lost ? 0 : b->n;
	pthread_mutex_unlock(&b->lock);
	return n;
}

static void blocks_add(check_blocks *b, void *p)
{
	pthread_mutex_lock(&b->lock);
	if (!b->lost && b->n == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 256;
		void **grown = cap <= MAX_FOLLOWED ? realloc(b->p, cap * sizeof *grown) : NULL;
		b->lost = !grown;
		b->p = grown ? grown : b->p;
		b->cap = grown ? cap : b->cap;
	}
	if (!b->lost)
		b->p[b->n++] = p;
	pthread_mutex_unlock(&b->lock);
}

static void blocks_remove(check_blocks *b, const void *p)
{
	pthread_mutex_lock(&b->lock);
	for (size_t i = b->n; i-- > 0;) /* the last one made is mostly the first to go */
		if (b->p[i] == p) {
			b->p[i] = b->p[--b->n];
			break;
		}
	pthread_mutex_unlock(&b->lock);
}

/* ---- what the plugin calls instead ---- */

static bool refused(const char *name)
{
	check_host *h = check_host_running();
	if (!h || !check_host_own_call(h, name, true))
		return false;
	errno = ENOMEM;
	return true;
}

static void *made(void *p)
{
	check_host *h = check_host_running();
	if (h && p)
		blocks_add(&h->own, p);
	return p;
}

static void gone(void *p)
{
	check_host *h = check_host_running();
	if (h && p)
		blocks_remove(&h->own, p);
}

static void *own_malloc(size_t n)
{
	return refused("malloc") ? NULL : made(malloc(n));
}

static void *own_calloc(size_t n, size_t size)
{
	return refused("calloc") ? NULL : made(calloc(n, size));
}

/* The old block is forgotten before it goes: its address may be another thread's at once. */
static void *own_reallocarray(void *old, size_t n, size_t size)
{
	if (refused("realloc"))
		return NULL;
	gone(old);
	void *p = reallocarray(old, n, size);
	made(!p && n && size ? old : p); /* refused, it stays */
	return p;
}

static void *own_realloc(void *old, size_t n)
{
	return own_reallocarray(old, n, 1);
}

static int own_posix_memalign(void **out, size_t align, size_t n)
{
	if (refused("posix_memalign"))
		return ENOMEM;
	int rc = posix_memalign(out, align, n);
	if (rc == 0)
		made(*out);
	return rc;
}

static void *own_aligned_alloc(size_t align, size_t n)
{
	return refused("aligned_alloc") ? NULL : made(aligned_alloc(align, n));
}

static void *own_memalign(size_t align, size_t n)
{
	return refused("memalign") ? NULL : made(memalign(align, n));
}

static char *own_strdup(const char *s)
{
	return refused("strdup") ? NULL : made(strdup(s));
}

static char *own_strndup(const char *s, size_t n)
{
	return refused("strndup") ? NULL : made(strndup(s, n));
}

static void own_free(void *p)
{
	check_host *h = check_host_running();
	if (h && p)
		check_host_own_call(h, "free", false);
	gone(p);
	free(p);
}

/* ---- patching ---- */

typedef void any_fn(void);
static const struct { const char *name; any_fn *hook; } hooks[] = {
    {"malloc", (any_fn *)own_malloc}, {"calloc", (any_fn *)own_calloc}, {"realloc", (any_fn *)own_realloc},
    {"reallocarray", (any_fn *)own_reallocarray}, {"posix_memalign", (any_fn *)own_posix_memalign},
    {"aligned_alloc", (any_fn *)own_aligned_alloc}, {"memalign", (any_fn *)own_memalign}, {"strdup", (any_fn *)own_strdup},
    {"__strdup", (any_fn *)own_strdup}, {"strndup", (any_fn *)own_strndup}, {"__strndup", (any_fn *)own_strndup},
    {"free", (any_fn *)own_free}, {"cfree", (any_fn *)own_free}};

#if defined(__x86_64__)
enum { JUMP_SLOT = R_X86_64_JUMP_SLOT, GLOB_DAT = R_X86_64_GLOB_DAT, ADDRESS = R_X86_64_64 };
#elif defined(__aarch64__)
enum { JUMP_SLOT = R_AARCH64_JUMP_SLOT, GLOB_DAT = R_AARCH64_GLOB_DAT, ADDRESS = R_AARCH64_ABS64 };
#else
#error "which relocations hold the address of a function on this machine?"
#endif

typedef struct object {
	ElfW(Addr) base;
	const ElfW(Phdr) *headers;
	size_t n_headers;
	const ElfW(Sym) *symbols;
	const char *strings;
} object;

static int find_headers(struct dl_phdr_info *info, size_t size, void *arg)
{
	object *o = arg;
	(void)size;
	for (size_t i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC && info->dlpi_addr == o->base) {
			o->headers = info->dlpi_phdr;
			o->n_headers = info->dlpi_phnum;
			return 1;
		}
	return 0;
}

/* Is the slot in a segment of this type that has these flags? Pages count as wholes. */
static bool lies_in(const object *o, ElfW(Addr) place, uint32_t type, uint32_t flags)
{
	ElfW(Addr) page = (ElfW(Addr))sysconf(_SC_PAGESIZE);
	for (size_t i = 0; i < o->n_headers; i++) {
		const ElfW(Phdr) *h = &o->headers[i];
		ElfW(Addr) at = (o->base + h->p_vaddr) / page * page, end = o->base + h->p_vaddr + h->p_memsz;
		if (h->p_type == type && (h->p_flags & flags) == flags && place >= at && place < end)
			return true;
	}
	return false;
}

static bool patch(const object *o, ElfW(Addr) place, any_fn *hook)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *at = (void *)(place / page * page);
	bool sealed = lies_in(o, place, PT_GNU_RELRO, 0); /* made read-only once the loader had filled it */
	if (!lies_in(o, place, PT_LOAD, PF_W))
		return true;
	if (sealed && mprotect(at, page, PROT_READ | PROT_WRITE) != 0)
		return false;
	memcpy((void *)place, &hook, sizeof hook);
	return !sealed || mprotect(at, page, PROT_READ) == 0;
}

static bool patch_all(const object *o, const ElfW(Rela) *table, size_t bytes)
{
	bool ok = true;
	for (size_t i = 0; table && i < bytes / sizeof *table; i++) {
		const ElfW(Rela) *r = &table[i];
		const ElfW(Sym) *symbol = &o->symbols[ELF64_R_SYM(r->r_info)];
		uint32_t type = (uint32_t)ELF64_R_TYPE(r->r_info);
		if ((type != JUMP_SLOT && type != GLOB_DAT && type != ADDRESS) || symbol->st_shndx != SHN_UNDEF)
			continue;
		for (size_t k = 0; k < sizeof hooks / sizeof *hooks; k++)
			if (strcmp(o->strings + symbol->st_name, hooks[k].name) == 0)
				ok = patch(o, o->base + r->r_offset, hooks[k].hook) && ok;
	}
	return ok;
}

bool check_alloc_watch(void *so)
{
	struct link_map *map;
	object o = {0};
	const ElfW(Rela) *jumps = NULL, *others = NULL;
	size_t jumps_bytes = 0, others_bytes = 0;
	if (dlinfo(so, RTLD_DI_LINKMAP, &map) != 0)
		return false;
	o.base = map->l_addr;
	for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_SYMTAB)
			o.symbols = (const void *)d->d_un.d_ptr;
		if (d->d_tag == DT_STRTAB)
			o.strings = (const void *)d->d_un.d_ptr;
		if (d->d_tag == DT_JMPREL)
			jumps = (const void *)d->d_un.d_ptr;
		if (d->d_tag == DT_PLTRELSZ)
			jumps_bytes = d->d_un.d_val;
		if (d->d_tag == DT_RELA)
			others = (const void *)d->d_un.d_ptr;
		if (d->d_tag == DT_RELASZ)
			others_bytes = d->d_un.d_val;
	}
	dl_iterate_phdr(find_headers, &o);
	if (!o.headers || !o.symbols || !o.strings)
		return false;
	bool done = patch_all(&o, jumps, jumps_bytes);
	return patch_all(&o, others, others_bytes) && done;
}
