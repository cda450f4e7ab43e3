/* host/log.h - "sn.host.log/1": the one log. A plugin's libraries' own messages come through here too. */
#ifndef SENSORIUM_HOST_LOG_H
#define SENSORIUM_HOST_LOG_H

#include "../plugin.h"

#define SN_HOST_LOG "sn.host.log/1"

typedef enum sn_host_level { SN_HOST_DEBUG = 0, SN_HOST_INFO = 1, SN_HOST_WARN = 2, SN_HOST_ERROR = 3 } sn_host_level;

typedef struct sn_host_log {
	uint32_t size;
	uint32_t reserved;
	/* One line. topic: the plugin's id. call: whose request, or NULL. Never log media or text of a client. [any] [step] */
	void (*write)(const sn_host *host, const sn_call *call, int32_t level, const char *topic, const char *text);
} sn_host_log;

#endif
