/* plugin.h - the contract between the host and a modality plugin: stamp, life cycle, faults.
 *
 * A plugin is one shared object with exactly one exported symbol, sn_plugin_entry_1(). It returns a stamp that the
 * compiler wrote (version and struct sizes, compared before any other call) and a list of descriptors. What a plugin
 * can do is asked for by string id: each header under ext/ is one conversation and shows both of its sides; the host's
 * services are extensions as well, under host/.
 *
 *   entry -> stamp equal? -> for each descriptor:
 *     probe(file)            0..100, how sure it is that it serves this model file (codecs: not called). It is asked about
 *                            the file of a media tower, and about a language model's own file: an encoder that needs no
 *                            tower claims that one (its width is the key `<general.architecture>.embedding_length`)
 *     init(instance, host)   cheap: remember the host, set defaults            [main]
 *     load(instance, model)  weights and tables, the last place to allocate    [load]
 *     ... extension calls ...                                                  [any] or [step], as their header says
 *     fini(instance)         after the last call; releases what load took      [main]
 *
 * fini follows every init that succeeded, also when load failed.
 *
 * The host allocates the instance: instance_size bytes, zeroed, aligned to 64. A shared object is never unloaded.
 *
 * Threads: [any] any thread, also at once; [main] one thread, before or after everything else; [load] one thread, after
 * init; [step] the engine's step: no malloc, no lock, no I/O, must return within about 20 ms a unit.
 * Ownership: arguments are borrowed until return; output is host memory that the plugin fills; returned strings are static.
 * Vtables grow at their end only, value structs are frozen within a major version: compare `size` before reading a member
 * that was added later.
 */
#ifndef SENSORIUM_PLUGIN_H
#define SENSORIUM_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SN_ABI_MAJOR 1u
#define SN_ABI_MINOR 0u

#if defined(__GNUC__)
#define SN_EXPORT __attribute__((visibility("default")))
#else
#define SN_EXPORT
#endif

/* What a call returns. Negative codes come with a filled sn_fault. */
typedef int32_t sn_rc;
enum {
	SN_RC_OK = 0,
	SN_RC_AGAIN = 1,          /* a job has more units to run */
	SN_RC_END = 2,            /* a job has finished */
	SN_RC_INVALID = -1,       /* the bytes or options are wrong */
	SN_RC_UNSUPPORTED = -2,   /* well-formed, but not done here */
	SN_RC_TOO_LARGE = -3,     /* over a limit that was passed in */
	SN_RC_NOMEM = -4,
	SN_RC_CANCELLED = -5,
	SN_RC_INTERNAL = -6       /* the plugin's own bug or a broken model file */
};

typedef enum sn_blame { SN_BLAME_INPUT = 1, SN_BLAME_PLUGIN = 2, SN_BLAME_RESOURCE = 3 } sn_blame;

/* Why a call failed. The caller's memory; text is NUL-terminated, fixed wording without addresses, paths or input bytes. */
typedef struct sn_fault {
	uint32_t size;     /* sizeof(sn_fault) of the caller */
	int32_t code;      /* the sn_rc that was returned */
	uint8_t retryable; /* the same call may succeed later */
	uint8_t blame;     /* sn_blame */
	uint8_t reserved[2];
	char text[244];
} sn_fault;

/* The host as a plugin sees it: services by id (host/log.h, host/memory.h, ...). NULL if the host has no such service. [any] */
typedef struct sn_host {
	uint32_t size;
	uint32_t reserved;
	const void *(*service)(const struct sn_host *host, const char *id);
} sn_host;

/* One call's context: whose request it is. Opaque; passed to host services so that log lines carry the request's id. */
typedef struct sn_call sn_call;

/* The model file that a descriptor may serve, as read by the host: keys and tensors are asked for through host/weights.h. */
typedef struct sn_model sn_model;

typedef struct sn_plugin {
	uint32_t size;          /* sizeof(sn_plugin) */
	uint32_t instance_size; /* bytes */
	const char *id;         /* "image-codec": [a-z0-9-], unique in a process */
	const char *version;    /* "1.0.0" */
	const char *license;    /* SPDX, of plugin and libraries together */
	const char *summary;    /* one line */
	/* 0: not mine .. 100: certainly. NULL for plugins that need no model. [load] */
	int32_t (*probe)(const sn_host *host, const sn_model *model);
	sn_rc (*init)(void *instance, const sn_host *host, sn_fault *fault);                 /* [main] */
	sn_rc (*load)(void *instance, const sn_model *model, sn_fault *fault);               /* [load]; model is NULL for codecs */
	void (*fini)(void *instance);                                                        /* [main] */
	const void *(*extension)(const char *id); /* the vtable of an ext/ header, or NULL. [any] */
	const char *extensions; /* space-separated ids, for listings */
} sn_plugin;

/* Written by the compiler in the plugin's translation unit: see SN_PLUGIN_STAMP. */
typedef struct sn_stamp {
	char magic[8]; /* "SNPLUG1" */
	uint32_t size, abi_major, abi_minor;
	uint32_t sizeof_plugin, sizeof_fault, sizeof_host, sizeof_pointer;
	uint32_t big_endian;
} sn_stamp;

#define SN_PLUGIN_STAMP                                                                                                  \
	{                                                                                                                    \
		"SNPLUG1", sizeof(sn_stamp), SN_ABI_MAJOR, SN_ABI_MINOR, sizeof(sn_plugin), sizeof(sn_fault), sizeof(sn_host),   \
		    sizeof(void *), 0                                                                                            \
	}

typedef struct sn_plugin_list {
	sn_stamp stamp; /* first: compared before anything else is read */
	uint32_t n_plugins;
	uint32_t reserved;
	const sn_plugin *const *plugins; /* [n_plugins], static */
} sn_plugin_list;

/* The one exported symbol. Static data only; no side effects. */
typedef const sn_plugin_list *sn_plugin_entry_fn(void);
SN_EXPORT const sn_plugin_list *sn_plugin_entry_1(void);

_Static_assert(sizeof(sn_fault) == 256, "sn_fault is frozen");
_Static_assert(offsetof(sn_fault, text) == 12, "sn_fault is frozen");
_Static_assert(sizeof(sn_stamp) == 40, "sn_stamp is frozen");

#endif
