/* error.h - filling the caller's sn_error: the one way a failure is told. err may be NULL everywhere. */
#ifndef SN_BASE_ERROR_H
#define SN_BASE_ERROR_H

#include "core.h"

/* Sets status and text, clears param; returns status, so that `return error_set(...)` works. */
sn_status error_set(sn_error *err, sn_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same, naming the request field to blame. */
sn_status error_param(sn_error *err, sn_status status, const char *param, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
