/* answer.h - from a request's events to its one answer, whole or as server-sent events: what chat and completions share.
 *
 * An endpoint submits one request of the engine, or several (a batch of prompts), and has a form: how its JSON looks. The
 * choices of all of them are numbered through: prompt i, choice j is i * n + j.
 *
 * The headers of a stream wait for its first event, so that what fails before the first token is an HTTP status. After that an
 * error is an event of the stream. An answer with a voice is over when all of it is spoken. The client's socket is looked at between events, streaming or not.
 */
#ifndef API_ANSWER_H
#define API_ANSWER_H

#include "answer_voice.h"
#include "api.h"
#include "chat_split.h"
#include "generation.h"

#define ANSWER_LISTS 4

/* One choice, gathered from its events. */
typedef struct answer_choice {
	out_buf text;
	chat_split *split;           /* takes the text instead; NULL: there is none */
	out_buf lists[ANSWER_LISTS]; /* of log probabilities, as the form needs them: the insides of JSON lists */
	uint64_t n_chars;            /* of the tokens in lists so far */
	sn_finish finish;
} answer_choice;

typedef struct answer_form answer_form;

typedef struct answer {
	request *r;
	const answer_form *form;
	sn_request **requests; /* [n_prompts]; NULL: over */
	out_buf *echo;         /* [n_prompts] what each choice's text begins with; empty: nothing */
	size_t n_prompts, n_open;
	size_t turn;           /* whose event comes next */
	uint32_t n;            /* choices of each */
	answer_choice *choices; /* [n_prompts * n] */
	char id[48];
	int64_t created;
	const char *model;     /* as served */
	tools *tools;          /* what the splits look for; NULL: none */
	bool logprobs, stream, include_usage;
	sn_usage usage;        /* of the requests that are over */
	answer_voice voice;    /* its narrator: NULL, or of the only choice of the only prompt */
} answer;

/* How the answer looks. o: to append to; choice: 0..n_prompts * n - 1. */
struct answer_form {
	const char *id_prefix, *object, *chunk; /* "chatcmpl-", and the names of the objects */
	void (*choice)(out_buf *o, const answer *a, uint32_t choice);  /* a whole one */
	void (*logprobs)(answer_choice *c, const sn_token_logprob *tokens, size_t n); /* appends to c->lists */
	/* Choices of chunks. open: a choice's first one, may append nothing; close: its last. */
	void (*open)(out_buf *o, const answer *a, uint32_t choice);
	void (*text)(out_buf *o, const answer *a, uint32_t choice, const sn_event *ev);
	void (*sound)(out_buf *o, const answer *a, const char *bytes, size_t size); /* of the voice; size 0: there is no more. NULL: it has none */
	void (*close)(out_buf *o, const answer *a, uint32_t choice, const sn_event *ev);
};

/* An endpoint's whole work: admission, submit, events, answer. submit reads the body, calls answer_begin, fills requests. */
void answer_endpoint(request *r, const answer_form *form, int (*submit)(answer *a, sn_error *err));
/* Room for the choices of n_prompts, and what the JSON says of all of them. */
int answer_begin(answer *a, const generation *g, size_t n_prompts, sn_error *err);

const char *answer_finish_name(sn_finish f);
/* "logprobs": the inside of an object, or null. */
void answer_list(out_buf *o, const out_buf *inside);

#endif
