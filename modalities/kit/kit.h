/* kit.h - what every plugin's side of the contract is made of: faults, the host's services, the entry.
 *
 *   kit.h        for any plugin
 *   kit_load.h   for those that read a model file: keys and tensors by name, each one checked
 *   kit_tower.h  for those that compute in units of work: their sizes, a job's tensors, the pre-norm transformer layer
 *
 * The plugins of this tree link it as they link modalities/audio. It is not part of the contract: an outsider's plugin needs
 * <sensorium/...> alone.
 */
#ifndef KIT_H
#define KIT_H

#include <sensorium/host/log.h>
#include <sensorium/host/memory.h>
#include <sensorium/host/ops.h>
#include <sensorium/host/weights.h>

/* Fills the fault, if there is one, and returns code: SN_RC_NOMEM is the resources' fault, SN_RC_INTERNAL the plugin's, all else the
 * input's. The format is fixed wording; a model file's keys and numbers may be told, a client's bytes may not. [any] */
sn_rc kit_fail(sn_fault *fault, sn_rc code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Returns from the function that it stands in, if the call fails. */
#define KIT_TRY(call)                                                                                                    \
	do {                                                                                                                 \
		sn_rc kit_rc = (call);                                                                                           \
		if (kit_rc != SN_RC_OK)                                                                                          \
			return kit_rc;                                                                                               \
	} while (0)

/* The host and its services, for an instance to keep. */
typedef struct kit_host {
	const char *id; /* of the plugin: the topic in the log */
	const sn_host *host;
	const sn_host_memory *memory;
	const sn_host_log *log;         /* may be NULL */
	const sn_host_weights *weights; /* these two may be NULL, or older, unless KIT_MODEL was needed */
	const sn_host_ops *ops;
} kit_host;

typedef enum kit_needs { KIT_MEMORY, KIT_MODEL } kit_needs; /* KIT_MODEL: weights and ops as well, as these headers know them */

/* An instance's init. A host without a service that is needed is refused. [main] */
sn_rc kit_host_init(kit_host *h, const char *id, kit_needs needs, const sn_host *host, sn_fault *fault);

/* As sn_host_memory. */
void *kit_alloc(const kit_host *h, size_t bytes);
void kit_free(const kit_host *h, void *p);
/* One line, under the plugin's id: the text as it is, or formatted, at most 255 bytes of it. As sn_host_log.write. */
void kit_log(const kit_host *h, const sn_call *call, int32_t level, const char *text);
void kit_logf(const kit_host *h, const sn_call *call, int32_t level, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* sn_media_plan.options_hash: FNV-1a over what rows depend on beside the samples and the weights. No padding in what is hashed. [any] */
void kit_hash(const void *options, size_t n, uint8_t out[8]);

/* load and fini of a plugin that has nothing to load. */
sn_rc kit_load_nothing(void *instance, const sn_model *model, sn_fault *fault);
void kit_fini_nothing(void *instance);

/* The one exported symbol, over descriptors: KIT_PLUGINS(&CODEC, &WRITER); */
#define KIT_PLUGINS(...)                                                                                                 \
	static const sn_plugin *const kit_plugins[] = {__VA_ARGS__};                                                         \
	static const sn_plugin_list kit_list = {                                                                             \
	    .stamp = SN_PLUGIN_STAMP, .n_plugins = sizeof kit_plugins / sizeof *kit_plugins, .plugins = kit_plugins};        \
	SN_EXPORT const sn_plugin_list *sn_plugin_entry_1(void) { return &kit_list; }                                        \
	_Static_assert(sizeof kit_plugins, "a plugin has descriptors")

#endif
