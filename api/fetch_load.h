/* fetch_load.h - finds and loads lib/fetch.so (fetch/fetch.h), which alone knows libcurl. Never unloaded. */
#ifndef API_FETCH_LOAD_H
#define API_FETCH_LOAD_H

#include "core.h"
#include "fetch/fetch.h"

int fetch_load(const fetch_table **out, sn_error *err);

#endif
