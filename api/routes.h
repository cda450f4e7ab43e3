/* routes.h - from a request to its endpoint: key, route, method, content type, in this order. */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include "api.h"

void routes_handle(void *api, http_exchange *x);   /* http_config.handle */
void routes_finished(void *api, const char *route, int http_status); /* http_config.finished */

#endif
