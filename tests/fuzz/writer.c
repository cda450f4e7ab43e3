/* writer.c - what clients are sent, whatever a model says: the events of a stream and whole answers of chat and completions with
 * their log probabilities, segments and words of recordings, subtitles, errors. Each is JSON that a strict reader takes, an event is
 * one line, and text that is UTF-8 comes back as it was. Then the same while one allocation fails: it is all there, or nothing is sent.
 *
 *   byte 0     1: a completion, else a chat   2: with log probabilities
 *   byte 1     bytes of a piece of text; 0: all at once
 *   then       12 bytes of numbers, and the text
 *
 * The connection is played here: sse.c writes to it. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "fault.h"
#include "forms.h"
#include "fuzz.h"
#include "json.h"
#include "poor.h"
#include "sse.h"
#include "transcript_format.h"

enum { MAX_TEXT = 512, MAX_SENT = 1 << 20 };

/* ---- the connection ---- */

static char sent[MAX_SENT];
static size_t n_sent;

bool http_stream_write(http_exchange *x, const char *data, size_t size)
{
	(void)x;
	FUZZ_PROMISE(size <= MAX_SENT - n_sent);
	memcpy(sent + n_sent, data, size);
	n_sent += size;
	return true;
}

bool http_stream_begin(http_exchange *x, const char *type)
{
	(void)x, (void)type;
	return true;
}

void http_stream_end(http_exchange *x)
{
	(void)x;
}

void http_stream_failed(http_exchange *x, const sn_error *why)
{
	(void)x, (void)why;
}

void http_add_header(http_exchange *x, const char *name, const char *value)
{
	(void)x, (void)name, (void)value;
}

void http_send_error(http_exchange *x, const sn_error *err)
{
	(void)x, (void)err;
}

void http_send_out(http_exchange *x, const char *type, const out_buf *body)
{
	(void)x, (void)type, (void)body;
}

bool http_client_gone(const http_exchange *x)
{
	(void)x;
	return false;
}

void http_abandon(http_exchange *x)
{
	(void)x;
}

/* ---- a strict reader ---- */

static json_t *read_json(const char *data, size_t size)
{
	json_error_t why;
	json_t *root = json_loadb(data, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &why);
	FUZZ_PROMISE(root);
	return root;
}

/* jansson's own idea of UTF-8 is the judge. */
static bool is_utf8(const char *data, size_t size)
{
	json_t *s = json_stringn(data, size);
	json_decref(s);
	return s;
}

/* The string there says the text, or, if that is no UTF-8, something in its place. */
static void assert_says(const json_t *s, const char *data, size_t size)
{
	FUZZ_PROMISE(json_is_string(s));
	if (is_utf8(data, size))
		FUZZ_PROMISE(json_string_length(s) == size && (size == 0 || memcmp(json_string_value(s), data, size) == 0));
	else
		FUZZ_PROMISE(json_string_length(s) > 0);
}

/* ---- one answer ---- */

struct input {
	const char *text; /* [size] */
	size_t size, piece;
	bool is_completion, logprobs;
	float numbers[3];
};

/* Events and what was put into them, in a row; poor: an event may be missing, and is then missing whole. */
static void send_event(const struct input *in, answer *a, out_buf *event, const char *text, size_t size, bool poor)
{
	n_sent = 0;
	bool ok = sse_event(NULL, event);
	FUZZ_PROMISE(ok || (poor && n_sent == 0));
	event->size = 0;
	event->failed = false;
	if (!ok)
		return;
	FUZZ_PROMISE(n_sent > 8 && memcmp(sent, "data: ", 6) == 0 && memcmp(sent + n_sent - 2, "\n\n", 2) == 0);
	FUZZ_PROMISE(!memchr(sent, '\n', n_sent - 2) && !memchr(sent, '\r', n_sent));
	if (poor) /* it would allocate */
		return;
	json_t *root = read_json(sent + 6, n_sent - 8);
	const json_t *choice = json_array_get(json_object_get(root, "choices"), 0);
	const json_t *said = in->is_completion ? json_object_get(choice, "text") : json_object_get(json_object_get(choice, "delta"), "content");
	FUZZ_PROMISE(json_is_object(choice));
	if (text)
		assert_says(said, text, size);
	FUZZ_PROMISE(json_is_object(json_object_get(choice, "logprobs")) == (a->logprobs && text));
	json_decref(root);
}

static sn_token_logprob token_of(const struct input *in, size_t at, size_t size, sn_top_logprob *top)
{
	const char *text = in->text + at;
	top[0] = (sn_top_logprob){text, (uint32_t)size, in->numbers[0], 1};
	top[1] = (sn_top_logprob){text, (uint32_t)(size / 2), in->numbers[1], 2};
	top[2] = (sn_top_logprob){text + size / 2, (uint32_t)(size - size / 2), in->numbers[2], 3};
	return (sn_token_logprob){.self = top[0], .top = top, .n_top = 3};
}

static void write_answer(const struct input *in, bool poor)
{
	const answer_form *form = in->is_completion ? &completion_form : &chat_form;
	answer_choice choices[1] = {0}, gathered[1] = {0};
	out_buf echo[1] = {0}, event = {0};
	answer a = {.form = form, .choices = choices, .echo = echo, .n = 1, .n_prompts = 1, .logprobs = in->logprobs, .stream = true};
	for (size_t at = 0, n; at < in->size; at += n) {
		sn_top_logprob top[3];
		n = in->piece && in->piece < in->size - at ? in->piece : in->size - at;
		const sn_token_logprob token = token_of(in, at, n, top);
		const sn_event ev = {.kind = SN_EVENT_TEXT, .text = in->text + at, .size = n, .logprobs = &token, .n_logprobs = 1};
		for (size_t k = 0; k < ANSWER_LISTS; k++)
			choices[0].lists[k].size = 0;
		if (in->logprobs) {
			form->logprobs(&choices[0], &token, 1);
			form->logprobs(&gathered[0], &token, 1);
		}
		out_text(&event, "{\"choices\":[");
		form->text(&event, &a, 0, &ev);
		out_text(&event, "]}");
		send_event(in, &a, &event, ev.text, n, poor);
		for (size_t k = 0; k < ANSWER_LISTS; k++)
			choices[0].lists[k].failed = false;
	}
	out_text(&event, "{\"choices\":[");
	form->close(&event, &a, 0, &(sn_event){.finish = SN_FINISH_LENGTH});
	out_text(&event, "]}");
	send_event(in, &a, &event, NULL, 0, poor);

	/* whole: what was gathered, behind an echo of itself */
	a.choices = gathered;
	out_bytes(&gathered[0].text, in->text, in->size);
	out_bytes(&echo[0], in->text, in->is_completion ? in->size : 0);
	bool failed = gathered[0].text.failed || echo[0].failed;
	form->choice(&event, &a, 0);
	if (!poor) {
		FUZZ_PROMISE(!event.failed && !failed);
		json_t *root = read_json(event.data, event.size);
		const json_t *said = in->is_completion ? json_object_get(root, "text") : json_object_get(json_object_get(root, "message"), "content");
		FUZZ_PROMISE(json_is_string(said) && (!is_utf8(in->text, in->size) || json_string_length(said) == in->size * (in->is_completion ? 2 : 1)));
		json_decref(root);
	}
	out_fini(&event);
	out_fini(&echo[0]);
	for (size_t k = 0; k < ANSWER_LISTS; k++) {
		out_fini(&choices[0].lists[k]);
		out_fini(&gathered[0].lists[k]);
	}
	out_fini(&gathered[0].text);
}

/* ---- recordings ---- */

/* Number, times, one line, an empty line: nothing that is said ends its cue or opens another. */
static void assert_cue(const out_buf *o, bool is_vtt)
{
	const char *line = o->data, *end = o->data + o->size;
	if (!is_vtt)
		line = memchr(line, '\n', (size_t)(end - line)) + 1;
	const char *times = line;
	line = memchr(line, '\n', (size_t)(end - line)) + 1;
	FUZZ_PROMISE(memmem(times, (size_t)(line - times), " --> ", 5));
	const char *over = memchr(line, '\n', (size_t)(end - line));
	FUZZ_PROMISE(over && over + 2 == end && over[1] == '\n');
	FUZZ_PROMISE(!memmem(line, (size_t)(over - line), "-->", 3) && !memchr(line, '\r', (size_t)(over - line)) && !memchr(line, 0, (size_t)(over - line)));
	FUZZ_PROMISE(!is_vtt || (!memchr(line, '<', (size_t)(over - line)) && !memchr(line, '>', (size_t)(over - line))));
}

static void write_segment(const struct input *in, bool poor)
{
	const int32_t tokens[] = {0, -1, INT32_MAX};
	size_t half = in->size / 2;
	const sn_word words[] = {{in->text, half, (double)in->numbers[0], (double)in->numbers[1]}, {in->text + half, in->size - half, 0, 1}};
	const sn_segment s = {.id = 7, .start = (double)in->numbers[0], .end = (double)in->numbers[1], .seek = (double)in->numbers[2], .text = in->text, .size = in->size,
	                      .tokens = tokens, .n_tokens = 3, .temperature = in->numbers[0], .avg_logprob = in->numbers[1], .compression_ratio = in->numbers[2],
	                      .no_speech_prob = in->numbers[0], .words = words, .n_words = 2};
	out_buf o = {0}, list = {0};
	transcript_segment(&list, &s);
	transcript_segment(&list, &s);
	answer_list(&o, &list);
	if (!poor) {
		json_t *root = read_json(o.data, o.size);
		FUZZ_PROMISE(json_array_size(root) == 2);
		assert_says(json_object_get(json_array_get(root, 1), "text"), in->text, in->size);
		json_decref(root);
	}
	o.size = list.size = 0;
	transcript_words(&list, &s);
	answer_list(&o, &list);
	if (!poor) {
		json_t *root = read_json(o.data, o.size);
		FUZZ_PROMISE(json_array_size(root) == 2);
		json_decref(root);
	}
	for (int is_vtt = 0; is_vtt < 2; is_vtt++) {
		o.size = 0;
		(is_vtt ? transcript_vtt : transcript_srt)(&o, &s);
		if (!poor)
			assert_cue(&o, is_vtt);
	}
	FUZZ_PROMISE(poor || (!o.failed && !list.failed));
	out_fini(&list);
	out_fini(&o);
}

static void write_error(const struct input *in, bool poor)
{
	sn_error err = {.status = SN_ERR_INVALID};
	out_buf o = {0};
	memcpy(err.text, in->text, in->size < sizeof err.text - 1 ? in->size : sizeof err.text - 1);
	memcpy(err.param, in->text, in->size < sizeof err.param - 1 ? in->size : sizeof err.param - 1);
	fault_render(&o, &err);
	if (!poor) {
		json_t *root = read_json(o.data, o.size);
		assert_says(json_object_get(json_object_get(root, "error"), "message"), err.text, strlen(err.text));
		json_decref(root);
	}
	out_fini(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {0};
	if (size < 2 + sizeof in.numbers)
		return 0;
	in.is_completion = data[0] & 1;
	in.logprobs = data[0] & 2;
	in.piece = data[1];
	memcpy(in.numbers, data + 2, sizeof in.numbers);
	in.text = (const char *)data + 2 + sizeof in.numbers;
	in.size = size - 2 - sizeof in.numbers;
	in.size = in.size < MAX_TEXT ? in.size : MAX_TEXT;
	if (in.is_completion && in.size && memchr(in.text, 0, in.size))
		in.logprobs = false; /* tokens are keys there, and jansson, which judges, takes none with a zero in it */
	for (int poor = 0; poor < 2; poor++) {
		if (poor)
			poor_begin(poor_choice(data, size, 12));
		write_answer(&in, poor);
		write_segment(&in, poor);
		write_error(&in, poor);
	}
	poor_end();
	return 0;
}
