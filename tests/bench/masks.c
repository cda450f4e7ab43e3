/* masks.c - what a token mask costs, with the vocabularies of real models.
 *
 *   bench_masks FILE.gguf...      llama.cpp's models/ggml-vocab-*.gguf will do
 *
 * Each answer is a text that a model could write, in the model's tokens; before each token its mask is asked for. Two lines: of the first answer
 * under a grammar, and of a second one that says something else, as the next request of the same schema does. Then random answers, each token
 * taken from the mask: more states than any model visits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "base/arena.h"
#include "engine/shape.h"
#include "model/model_vocab.h"
#include "out.h"
#include "schema.h"

#define CITY "\"name\":{\"type\":\"string\"},\"country\":{\"type\":\"string\",\"minLength\":2},\"population\":{\"type\":\"integer\",\"minimum\":0}"
#define PARAGRAPH "The old harbour lies at the mouth of the river; its cranes, long since silent, are lit at night, and the markets "
#define PARAGRAPH2 "Nobody knew when the bridge had been built, but everyone crossed it twice a day: in the morning with an empty cart, "

typedef struct bench_case { const char *name, *schema, *grammar, *answers[2]; } bench_case;

static const bench_case cases[] = {
	{"json_object", NULL, NULL,
	 {"{\"title\": \"A day in Lisbon\", \"stops\": [{\"at\": 9.5, \"where\": \"Alfama\", \"tags\": [\"old\", \"steep\"]}, {\"at\": 13, \"where\": \"Bel\xC3\xA9m\", "
	  "\"tags\": []}], \"note\": \"" PARAGRAPH PARAGRAPH2 "\", \"paid\": true, \"rest\": null}",
	  "{\"words\": {\"one\": {\"two\": [[1, 2], [3, 4.25e3]], \"three\": \"a \\\"quoted\\\" word\\n\"}}, \"text\": \"" PARAGRAPH2 PARAGRAPH "\", \"n\": -17}"}},
	{"json_schema, cities",
	 "{\"type\":\"object\",\"properties\":{\"cities\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{" CITY
	 ",\"climate\":{\"enum\":[\"tropical\",\"arid\",\"temperate\",\"continental\",\"polar\"]},\"founded\":{\"type\":[\"string\",\"null\"],\"format\":\"date\"}},"
	 "\"required\":[\"name\",\"country\",\"population\",\"climate\"],\"additionalProperties\":false}},\"remark\":{\"type\":\"string\"}},\"required\":[\"cities\"],\"additionalProperties\":false}",
	 NULL,
	 {"{\"cities\": [{\"name\": \"Lisbon\", \"country\": \"Portugal\", \"population\": 545796, \"climate\": \"temperate\"}, {\"name\": \"Reykjav\xC3\xADk\", \"country\": "
	  "\"Iceland\", \"population\": 139875, \"climate\": \"polar\", \"founded\": null}], \"remark\": \"" PARAGRAPH PARAGRAPH2 "\"}",
	  "{\"cities\": [{\"name\": \"Ouagadougou\", \"country\": \"Burkina Faso\", \"population\": 2415266, \"climate\": \"tropical\", \"founded\": \"1441-01-01\"}], \"remark\": \""
	  PARAGRAPH2 PARAGRAPH "\"}"}},
	{"maxLength 200", "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"maxLength\":200},\"b\":{\"type\":\"string\",\"minLength\":20,\"maxLength\":200}},"
	 "\"required\":[\"a\",\"b\"],\"additionalProperties\":false}", NULL,
	 {"{\"a\": \"" PARAGRAPH "\", \"b\": \"" PARAGRAPH2 "\"}", "{\"a\": \"" PARAGRAPH2 "\", \"b\": \"" PARAGRAPH "and then some more words, up to the very end of what is allowed\"}"}},
	{"enum of 200", NULL, NULL, {NULL, NULL}},
	{"pattern", "{\"type\":\"string\",\"pattern\":\"^[A-Z][a-z]{2,20}( [A-Z][a-z]{2,20}){3,60}$\"}", NULL,
	 {"\"Every Name Here Begins With Its Large Letter And Goes With Small Ones After That One Two Three\"",
	  "\"Another List That Nobody Would Ever Write But Which Fits Nevertheless Into What Has Been Asked\""}},
	{"grammar, any text", NULL, "root ::= line+\nline ::= [^\\n]{1,300} \"\\n\"\n",
	 {PARAGRAPH PARAGRAPH2 "\n" PARAGRAPH2 "\n", PARAGRAPH2 PARAGRAPH "\n" PARAGRAPH "\n"}},
	{"grammar, sums", NULL, "root ::= (sum \" = \" num \"\\n\")+\nsum ::= term (\" \" [-+] \" \" term)*\nterm ::= num | \"(\" sum \")\"\nnum ::= [0-9]{1,12} (\".\" [0-9]{1,4})?\n",
	 {"12 + (3 - 4.5) - 1000 = 993.5\n7 - (1 + (2 - 3)) = 7\n", "1 + 2 + 3 + 4 + 5 = 15\n(((10))) - 0.001 = 9.999\n"}},
};

static double now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static void line(const char *what, double *us, size_t n)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += us[i];
	qsort(us, n, sizeof *us, by_size);
	printf("    %-14s %5zu masks: median %8.1f us, mean %8.1f, 90 %% %8.1f, worst %8.1f\n", what, n, us[n / 2], sum / (double)n, us[n * 9 / 10], us[n - 1]);
}

static void text_of(const bench_case *c, out_buf *out)
{
	sn_error err = {0};
	if (c->grammar) {
		out_text(out, c->grammar);
	} else if (c->schema) {
		json_t *s = json_loads(c->schema, JSON_DECODE_ANY, NULL);
		if (!s || schema_grammar(s, "schema", out, &err) != SN_OK)
			fprintf(stderr, "%s: %s\n", c->name, err.text), exit(1);
		json_decref(s);
	} else if (!c->answers[0]) {
		json_t *s = json_object(), *list = json_array();
		char word[64];
		for (int i = 0; i < 200; i++) {
			snprintf(word, sizeof word, "%s %s number %d", i % 3 ? "red" : "green", i % 5 ? "lorry" : "tram", i * 7);
			json_array_append_new(list, json_string(word));
		}
		json_object_set_new(s, "enum", list);
		schema_grammar(s, "schema", out, &err);
		json_decref(s);
	} else {
		schema_any_object(out);
	}
}

static int32_t pick(const uint32_t *bits, uint32_t n_vocab, uint64_t *seed)
{
	uint32_t n = 0;
	for (uint32_t w = 0; w < (n_vocab + 31) / 32; w++)
		n += (uint32_t)__builtin_popcount(bits[w]);
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	uint32_t k = (uint32_t)(*seed >> 33) % n;
	for (int32_t t = 0;; t++)
		if (bits[t / 32] >> (t % 32) & 1 && k-- == 0)
			return t;
}

/* ids NULL: random. -> masks asked for. */
static size_t answer(shape *s, uint32_t choice, const vocab *v, const int32_t *ids, size_t n_ids, double *us, uint64_t *seed)
{
	seq_row *said = calloc(n_ids + 1, sizeof *said);
	size_t n = 0;
	for (; n <= n_ids; n++) {
		sn_error err = {0};
		double from = now_us();
		const uint32_t *bits = shape_next(s, choice, said, (uint32_t)n, &err);
		us[n] = now_us() - from;
		if (!bits) {
			fprintf(stderr, "token %zu: %s\n", n, err.text);
			exit(1);
		}
		if (n == n_ids)
			break;
		said[n].id = ids ? ids[n] : pick(bits, (uint32_t)vocab_size(v), seed);
		if (!(bits[said[n].id / 32] >> (said[n].id % 32) & 1)) {
			str t = vocab_token(v, said[n].id);
			fprintf(stderr, "token %zu, \"%.*s\", may not follow\n", n, (int)t.n, t.p);
			exit(1);
		}
		if (vocab_is_eog(v, said[n].id))
			break;
	}
	free(said);
	return n;
}

static void run(const bench_case *c, const token_trie *trie, bool random)
{
	enum { MOST = 4000 };
	static double us[64 * MOST];
	const vocab *v = trie->v;
	out_buf text = {0};
	text_of(c, &text);
	sn_error err = {0};
	shape *s;
	double from = now_us();
	grammars all;
	const grammar_ask ask = {.trie = trie, .text = {text.data, text.size}};
	grammars_init(&all);
	if (shape_open(&s, &all, &ask, 16, &err) != SN_OK)
		fprintf(stderr, "%s: %s\n", c->name, err.text), exit(1);
	printf("  %s: opened in %.2f ms\n", c->name, (now_us() - from) / 1e3);
	for (uint32_t i = 0; i < 2 && c->answers[0]; i++) {
		marked_text m;
		marked_init(&m, 1 << 20);
		marked_append(&m, c->answers[i], strlen(c->answers[i]), false);
		int32_t *ids;
		size_t n;
		if (vocab_encode(v, &m, &ids, &n, &err) != SN_OK)
			fprintf(stderr, "%s\n", err.text), exit(1);
		size_t skip = n && vocab_is_control(v, ids[0]);
		n = answer(s, i, v, ids + skip, n - skip, us, NULL);
		line(i ? "second answer" : "first answer", us, n + 1);
		free(ids);
		marked_fini(&m);
	}
	size_t n = 0;
	uint64_t seed = 5;
	for (uint32_t i = 2; i < 16 && random; i++)
		n += answer(s, i, v, NULL, 300, us + n, &seed);
	if (n)
		line("random", us, n);
	printf("    kept: %.0f kB of states and pieces, %.0f kB of program and text\n", (double)shape_bytes(s) / 1e3, (double)grammars_bytes(&all) / 1e3);
	shape_close(&s);
	grammars_fini(&all);
	out_fini(&text);
}

int main(int argc, char **argv)
{
	bool random = argc > 1 && strcmp(argv[1], "--random") == 0;
	for (int i = 1 + random; i < argc; i++) {
		sn_error err = {0};
		model_file *f;
		vocab *v;
		token_trie *trie;
		arena *tmp = arena_open(0);
		if (model_file_open(&f, argv[i], &err) != SN_OK || model_vocab_open(&v, f, UINT32_MAX, tmp, &err) != SN_OK) {
			fprintf(stderr, "%s: %s\n", argv[i], err.text);
			return 1;
		}
		double from = now_us();
		if (token_trie_open(&trie, v, &err) != SN_OK)
			return 1;
		printf("%s: %zu tokens; its tree once: %.0f ms, %.1f MB\n", argv[i], vocab_size(v), (now_us() - from) / 1e3, (double)token_trie_bytes(trie) / 1e6);
		for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
			run(&cases[c], trie, random);
		token_trie_close(&trie);
		vocab_close(&v);
		model_file_close(&f);
		arena_close(&tmp);
	}
	return 0;
}
