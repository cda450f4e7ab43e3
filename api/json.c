#include "json.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"

/* jansson tells a failed allocation as a syntax error, or drops bytes of a string and goes on; its reader then runs past the end of its
 * buffer or into an assertion (jansson 2.14, issue 362). Its allocator is ours, so that this thread knows better: a reading that wants
 * for memory is left on the spot, and what it had taken so far, a ring of blocks, is given back. */
struct block {
	struct block *next, *prev; /* as large as malloc's alignment */
};

static _Thread_local struct {
	struct block ring;
	jmp_buf out;
	bool reads, starved;
} memory;

static void *block_take(size_t n)
{
	struct block *b = n <= SIZE_MAX - sizeof *b ? malloc(sizeof *b + n) : NULL;
	if (!b) {
		memory.starved = true;
		if (memory.reads)
			longjmp(memory.out, 1);
		return NULL;
	}
	struct block *at = memory.reads ? &memory.ring : b;
	*b = (struct block){at == b ? b : at->next, at};
	b->next->prev = at->next = b;
	return b + 1;
}

static void block_give(void *p)
{
	struct block *b = p ? (struct block *)p - 1 : NULL;
	if (!b)
		return;
	b->next->prev = b->prev;
	b->prev->next = b->next;
	free(b);
}

void body_json_init(void)
{
	json_set_alloc_funcs(block_take, block_give);
}

void json_text_free(char *text)
{
	json_free_t give;
	json_get_alloc_funcs(NULL, &give);
	give(text);
}

json_t *json_read(const char *data, size_t size, size_t flags, json_error_t *why)
{
	memory.ring = (struct block){&memory.ring, &memory.ring};
	memory.reads = true;
	if (setjmp(memory.out)) {
		memory.reads = false;
		while (memory.ring.next != &memory.ring)
			block_give(memory.ring.next + 1);
		return NULL;
	}
	json_t *root = json_loadb(data, size, flags, why);
	memory.reads = false;
	memory.ring.next->prev = memory.ring.prev; /* a tree lives on without the ring's end */
	memory.ring.prev->next = memory.ring.next;
	return root;
}

void json_memory_watch(void)
{
	memory.starved = false;
}

bool json_memory_failed(void)
{
	return memory.starved;
}

static int scan(const char *data, size_t size, sn_error *err)
{
	size_t depth = 0, values = 1;
	bool in_string = false;
	for (size_t i = 0; i < size; i++) {
		char c = data[i];
		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			values++;
			if (++depth > BODY_MAX_DEPTH)
				return fault_set(err, SN_ERR_INVALID, NULL, "the JSON is nested deeper than %d", BODY_MAX_DEPTH);
		} else if (c == '}' || c == ']') {
			depth -= depth > 0;
		} else if (c == ',') {
			if (++values > BODY_MAX_VALUES)
				break;
		}
	}
	if (values > BODY_MAX_VALUES)
		return fault_set(err, SN_ERR_INVALID, NULL, "the JSON holds more than %d values", BODY_MAX_VALUES);
	return SN_OK;
}

int body_parse(json_t **out, const char *data, size_t size, sn_error *err)
{
	json_error_t why;
	int rc = scan(data, size, err);
	if (rc != SN_OK)
		return rc;
	json_memory_watch();
	json_t *root = json_read(data, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
	if (json_memory_failed()) {
		json_decref(root);
		return fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the body");
	}
	if (!root) {
		/* why.text quotes the client's bytes; its position does not. */
		if (json_error_code(&why) == json_error_duplicate_key)
			return fault_set(err, SN_ERR_INVALID, NULL, "the JSON has the same key twice, near line %d, column %d", why.line, why.column);
		return fault_set(err, SN_ERR_INVALID, NULL, "the body is not valid JSON, near line %d, column %d", why.line, why.column);
	}
	if (!json_is_object(root)) {
		json_decref(root);
		return fault_set(err, SN_ERR_INVALID, NULL, "the body must be a JSON object");
	}
	*out = root;
	return SN_OK;
}

const char *body_plain_string(const json_t *v)
{
	const char *s = json_string_value(v);
	return s && strlen(s) == json_string_length(v) ? s : NULL;
}

int body_wants(sn_error *err, const char *param, const char *what)
{
	return fault_set(err, SN_ERR_INVALID, param, "%s must be %s", param, what);
}
