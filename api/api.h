/* api.h - what the endpoints share while the server runs. */
#ifndef API_API_H
#define API_API_H

#include <stdatomic.h>

#include "auth.h"
#include "core.h"
#include "http.h"
#include "media_url.h"
#include "models_json.h"
#include "options.h"
#include "stats.h"

typedef struct api {
	const options *options;
	model_files files; /* what is loaded */
	sn_log *log;
	sn_engine *engine;
	auth *auth, *admin;
	media_sources *media;
	stats stats;
	atomic_bool loaded;   /* the models are there: only then may they be listed or asked */
	atomic_bool draining;
	atomic_uint in_flight; /* answers being worked on that a shutdown waits for */
	unsigned max_in_flight;
} api;

typedef struct request {
	api *api;
	http_exchange *x;
	const char *tail;            /* what {id} matched, decoded; "" if the route has none */
	char caller[AUTH_ID_SIZE];   /* who asks */
	bool is_admin;               /* by a key of --admin-api-key, which is good for every other route too */
} request;

/* The endpoints, one file each. Each answers exactly once. */
void chat_endpoint(request *r);
void completions_endpoint(request *r);
void embeddings_endpoint(request *r);
void transcriptions_endpoint(request *r);
void translations_endpoint(request *r);
void speech_endpoint(request *r);
void voices_endpoint(request *r);
void tokenize_endpoint(request *r);
void detokenize_endpoint(request *r);
void openapi_endpoint(request *r);
void models_list_endpoint(request *r);
void models_get_endpoint(request *r);
void plugins_endpoint(request *r);
void plugins_add_endpoint(request *r);
void livez_endpoint(request *r);
void readyz_endpoint(request *r);
void metrics_endpoint(request *r);

#endif
