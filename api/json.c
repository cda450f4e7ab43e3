#include "json.h"

#include <setjmp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"

/* jansson tells a failed allocation as a syntax error, or drops bytes of a string and goes on; its reader then runs past the end of its
 * buffer or into an assertion (jansson 2.14, issue 362). Its allocator is ours, so that this thread knows better: a reading that wants
 * for memory is left on the spot, and what it had taken so far is given back.
 *
 * A reading takes its blocks one behind the other from chunks, which costs less than malloc's own books do. A chunk is free again
 * when the last of its blocks is. */
struct chunk {
	struct chunk *next; /* of the same reading, while it goes on */
	atomic_uint live;   /* blocks, and one for the reading itself */
	uint32_t used;      /* bytes of room */
	_Alignas(8) uint8_t room[];
};

struct block {
	struct chunk *chunk; /* NULL: a block of malloc's */
};

enum { CHUNK = 16384, UNIT = 8 };
_Static_assert(sizeof(struct block) <= UNIT, "what follows a block is aligned for jansson's values");

static _Thread_local struct {
	struct chunk *chunks;
	jmp_buf out;
	bool reads, starved;
} memory;

static void chunk_drop(struct chunk *c)
{
	if (atomic_fetch_sub(&c->live, 1) == 1)
		free(c);
}

/* n: a multiple of UNIT. A block that is larger than a chunk has a chunk to itself. */
static struct block *chunk_take(size_t n)
{
	struct chunk *c = memory.chunks;
	if (!c || n > CHUNK || c->used > CHUNK - n) {
		c = malloc(sizeof *c + (n > CHUNK ? n : CHUNK));
		if (!c)
			return NULL;
		c->next = memory.chunks;
		c->used = 0;
		atomic_init(&c->live, 1);
		memory.chunks = c;
	}
	struct block *b = (struct block *)(void *)(c->room + c->used);
	b->chunk = c;
	c->used += n > CHUNK ? CHUNK : (uint32_t)n;
	atomic_fetch_add(&c->live, 1);
	return b;
}

static void *block_take(size_t n)
{
	struct block *b = NULL;
	if (n <= SIZE_MAX - 2 * UNIT - sizeof(struct chunk)) {
		n = UNIT + (n + UNIT - 1) / UNIT * UNIT;
		if (memory.reads)
			b = chunk_take(n);
		else if ((b = malloc(n)))
			b->chunk = NULL;
	}
	if (b)
		return (uint8_t *)b + UNIT;
	memory.starved = true;
	if (memory.reads)
		longjmp(memory.out, 1);
	return NULL;
}

static void block_give(void *p)
{
	struct block *b = p ? (struct block *)(void *)((uint8_t *)p - UNIT) : NULL;
	if (b && b->chunk)
		chunk_drop(b->chunk);
	else
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
	json_t *volatile root = NULL;
	memory.chunks = NULL;
	memory.reads = true;
	bool whole = !setjmp(memory.out);
	if (whole)
		root = json_loadb(data, size, flags, why);
	memory.reads = false;
	for (struct chunk *c = memory.chunks, *next; c; c = next) {
		next = c->next;
		if (whole)
			chunk_drop(c); /* its blocks live on in the tree */
		else
			free(c);
	}
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
