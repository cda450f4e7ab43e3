/* machine.h - how much memory this process may have: the machine's, or its control group's where that is less. */
#ifndef SN_BASE_MACHINE_H
#define SN_BASE_MACHINE_H

#include <stddef.h>

typedef struct machine_memory {
	size_t total;     /* bytes; SIZE_MAX: nobody tells */
	size_t available; /* of it, that nothing else holds for good: pages of files can be dropped */
	size_t own;       /* that this process holds, but for pages of files */
	size_t limit;     /* of the tightest control group, SIZE_MAX: none */
} machine_memory;

/* root: "", or where tests keep another /proc and /sys. Control groups of both versions, the process's own and those around it. */
machine_memory machine_memory_read(const char *root);

#endif
