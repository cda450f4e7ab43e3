/* routes.h - the one table of routes, and from a request to its endpoint: key, route, method, content type, in this order. */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include "api.h"
#include "fields.h"

#define ROUTE_TABLES 2

typedef struct route {
	const char *method;
	const char *path; /* ends in {id}: one more, non-empty piece */
	void (*endpoint)(request *r);
	bool open;        /* needs no key */
	/* What the OpenAPI document tells of it (openapi.c). Schemas by their names in openapi.json. */
	const char *summary;
	const char *answer;  /* of 200; NULL: text */
	const char *events;  /* of server-sent events, if stream is asked for; or NULL */
	const char *unready; /* of 503; NULL: Error */
	const char *errors;  /* HTTP statuses beside those that every route may answer, with blanks between */
	const field_table *body[ROUTE_TABLES];
	bool form;           /* the body is multipart/form-data, not JSON */
	const char *text;    /* a media type of 200 beside application/json; or NULL */
	const char *bytes;   /* media types of 200 that are files, with blanks between; then answer is NULL */
} route;

const route *routes_all(size_t *n);
void routes_handle(void *api, http_exchange *x);   /* http_config.handle */
void routes_finished(void *api, const char *route, int http_status); /* http_config.finished */

#endif
