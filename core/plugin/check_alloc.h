/* check_alloc.h - malloc and its kin as one plugin calls them: counted, refused on demand, and seen where they are forbidden.
 *
 * The plugin's own object is patched: of the slots that its relocations fill (JMPREL, RELA) those that hold malloc, calloc,
 * realloc, free and so on get functions of check_alloc.c. That needs no LD_PRELOAD, hence no second library to install, no other
 * environment for the child, no quarrel with a sanitizer's own malloc; and only the plugin's own calls are caught: the
 * libraries that it uses, the C library and the host are left as they are, because what libvorbis makes of a NULL is not the
 * plugin's contract. Code that is linked into the plugin, archives too, is its own.
 *
 * Not seen: what the C library allocates for the plugin (fopen, asprintf), operator new of C++ (libstdc++ calls malloc for it),
 * and a malloc whose address was fetched with dlsym. */
#ifndef SN_PLUGIN_CHECK_ALLOC_H
#define SN_PLUGIN_CHECK_ALLOC_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* Blocks that the plugin itself asked for and has not given back. */
typedef struct check_blocks {
	pthread_mutex_t lock;
	void **p; /* [n] */
	size_t n, cap;
	bool lost; /* too many to be followed: n means nothing */
} check_blocks;

void check_blocks_init(check_blocks *b);
void check_blocks_fini(check_blocks *b);
size_t check_blocks_count(check_blocks *b); /* 0 if lost */

/* Patches the object, a handle of dlopen's. From now on its calls go to the host that runs in this process (check_host_running). */
bool check_alloc_watch(void *so);

#endif
