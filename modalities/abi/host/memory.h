/* host/memory.h - "sn.host.memory/1": budgeted memory. Not in [step] functions: there, scratch comes from ops. */
#ifndef SENSORIUM_HOST_MEMORY_H
#define SENSORIUM_HOST_MEMORY_H

#include "../plugin.h"

#define SN_HOST_MEMORY "sn.host.memory/1"

typedef struct sn_host_memory {
	uint32_t size;
	uint32_t reserved;
	/* 64-byte aligned, zeroed; NULL over the budget. [any] */
	void *(*alloc)(const sn_host *host, size_t bytes);
	void (*free)(const sn_host *host, void *p); /* p may be NULL. [any] */
} sn_host_memory;

#endif
