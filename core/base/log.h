/* log.h - the one log: one line per event with time, level, topic and request id, written by one write(2).
 * Public calls are in core.h. Prompts, media and keys are never logged. */
#ifndef SN_BASE_LOG_H
#define SN_BASE_LOG_H

#include "core.h"

#define log_debug(log, topic, id, ...) sn_log_write((log), SN_LOG_DEBUG, (topic), (id), __VA_ARGS__)
#define log_info(log, topic, id, ...) sn_log_write((log), SN_LOG_INFO, (topic), (id), __VA_ARGS__)
#define log_warn(log, topic, id, ...) sn_log_write((log), SN_LOG_WARN, (topic), (id), __VA_ARGS__)
#define log_error(log, topic, id, ...) sn_log_write((log), SN_LOG_ERROR, (topic), (id), __VA_ARGS__)

#endif
