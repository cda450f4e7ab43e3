/* admission.h - whether one more answer may be worked on: not while loading or shutting down, not more than there are threads for. */
#ifndef API_ADMISSION_H
#define API_ADMISSION_H

#include "api.h"

/* Counts the answer in, also on failure: admission_leave follows. */
int admission_enter(api *a, sn_error *err);
void admission_leave(api *a);

#endif
