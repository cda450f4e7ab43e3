/* check_device.c - see check_device.h. */
#include "plugin/check_device.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"

/* 64 GiB of addresses, no memory: more than all jobs of a check together ask for, as a rule. */
static const size_t RESERVED = (size_t)1 << 36;

typedef struct entry {
	const void *owner;
	uint8_t *handle, *shadow;
	size_t bytes;
} entry;

struct check_device {
	uint8_t *base; /* [RESERVED], PROT_NONE */
	size_t page, used;
	pthread_mutex_t lock; /* begin is [any] */
	entry *entries; /* [n], in the order of their handles */
	size_t n, cap;
};

sn_status check_device_open(check_device **out, sn_error *err)
{
	check_device *d = calloc(1, sizeof *d);
	*out = NULL;
	if (!d)
		return error_set(err, SN_ERR_NOMEM, "no memory for the test device");
	d->base = mmap(NULL, RESERVED, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (d->base == MAP_FAILED) {
		free(d);
		return error_set(err, SN_ERR_NOMEM, "no 64 GiB of addresses for the test device (a limit on address space?)");
	}
	d->page = (size_t)sysconf(_SC_PAGESIZE);
	pthread_mutex_init(&d->lock, NULL);
	*out = d;
	return SN_OK;
}

void check_device_close(check_device **dp)
{
	check_device *d = *dp;
	if (!d)
		return;
	munmap(d->base, RESERVED);
	pthread_mutex_destroy(&d->lock);
	free(d->entries);
	free(d);
	*dp = NULL;
}

static entry *entry_new(check_device *d)
{
	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 64;
		entry *grown = realloc(d->entries, cap * sizeof *grown);
		if (!grown)
			return NULL;
		d->entries = grown;
		d->cap = cap;
	}
	return &d->entries[d->n];
}

void *check_device_add(check_device *d, const void *owner, void *shadow, size_t bytes)
{
	uint8_t *handle = NULL;
	pthread_mutex_lock(&d->lock);
	if (d->n == 0 && d->used > RESERVED / 2) /* nobody is left whose stale handles could be mistaken for others' */
		d->used = 0;
	entry *e = bytes < RESERVED / 2 ? entry_new(d) : NULL;
	size_t taken = e ? (bytes / d->page + 2) * d->page : 0;
	if (e && taken <= RESERVED - d->used) {
		handle = d->base + d->used;
		*e = (entry){owner, handle, shadow, bytes};
		d->used += taken;
		d->n++;
	}
	pthread_mutex_unlock(&d->lock);
	return handle;
}

void check_device_drop(check_device *d, const void *owner)
{
	size_t kept = 0;
	pthread_mutex_lock(&d->lock);
	for (size_t i = 0; i < d->n; i++)
		if (d->entries[i].owner != owner)
			d->entries[kept++] = d->entries[i];
	d->n = kept;
	pthread_mutex_unlock(&d->lock);
}

void *check_device_shadow(check_device *d, const void *handle, size_t bytes)
{
	const uint8_t *p = handle;
	void *shadow = NULL;
	pthread_mutex_lock(&d->lock);
	size_t low = 0, high = d->n; /* the last tensor that begins at p or before is entries[low - 1] */
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (d->entries[mid].handle <= p)
			low = mid + 1;
		else
			high = mid;
	}
	const entry *e = low ? &d->entries[low - 1] : NULL;
	if (e && (size_t)(p - e->handle) <= e->bytes && bytes <= e->bytes - (size_t)(p - e->handle))
		shadow = e->shadow + (p - e->handle);
	pthread_mutex_unlock(&d->lock);
	return shadow;
}

bool check_device_has(const check_device *d, const void *p)
{
	return (uintptr_t)p >= (uintptr_t)d->base && (uintptr_t)p - (uintptr_t)d->base < RESERVED;
}
