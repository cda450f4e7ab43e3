/* test_text_families.c - Hugging Face directories and SentencePiece scores: ids of the references, text that comes back,
 * and the refusals of what is broken or unknown. */
#include "test_text_golden.h"

#include <unistd.h>

#include "text/detok.h"
#include "text/normalize.h"
#include "text/spm.h"

static const char *const families[] = {"gpt2", "smollm", "llama3", "qwen2", "tekken", "gpt4o", "gemma", "llama2", "llama2-first", "phi3",
                                       "gemma-pieces", "llama2-pieces", "tekken-alone", "tekken-v1"};
enum { N_FAMILIES = sizeof families / sizeof *families };

static void ids_of_directories_are_those_of_tokenizers(void **state)
{
	(void)state;
	uint64_t random = 99;
	for (size_t k = 0; k < N_FAMILIES; k++) {
		char name[64];
		snprintf(name, sizeof name, "hf/%s/cases.json", families[k]);
		json_t *g = golden(name), *c;
		vocab *v = family_vocab(families[k]);
		size_t i;
		assert_true(json_array_size(g) > 100);
		json_array_foreach(g, i, c)
			check_case(v, families[k], c, &random);
		vocab_close(&v);
		json_decref(g);
	}
}

static void ids_of_scores_are_those_of_sentencepiece(void **state)
{
	(void)state;
	uint64_t random = 7;
	json_t *g = golden("spm.json"), *one, *c;
	const char *name;
	json_object_foreach(g, name, one) {
		vocab *v = golden_vocab(one);
		size_t i;
		assert_true(json_array_size(json_object_get(one, "cases")) > 80);
		json_array_foreach(json_object_get(one, "cases"), i, c)
			check_case(v, name, c, &random);
		vocab_close(&v);
	}
	json_decref(g);
}

/* ---- text comes back ---- */

static void decode(const vocab *v, const int32_t *ids, size_t n, buf *out)
{
	detok d;
	buf_init(out, 0);
	detok_init(&d, v);
	for (size_t i = 0; i < n; i++)
		assert_true(detok_push(&d, ids[i], out));
	assert_true(detok_flush(&d, out));
}

/* Llama 2's own loss: a blank is put after every special token, and its vocabulary has two line ends for one. And where
 * Metaspace puts no blank before text that starts with one, decoding drops one all the same. */
static bool loses(const char *family, const char *p, size_t n)
{
	return ((!strcmp(family, "llama2") || !strcmp(family, "llama2-pieces") || !strcmp(family, "phi3")) && memmem(p, n, "\n\n", 2)) || (!strcmp(family, "llama2-first") && n && *p == ' ');
}

/* Any text without U+2581, which SentencePiece takes for a blank. */
static void expect_round_trip(const char *name, const vocab *v, const char *p, size_t n)
{
	marked_text m;
	int32_t *ids;
	size_t n_ids;
	buf out;
	marked_init(&m, 0);
	marked_append(&m, p, n, false);
	encode(v, &m, &ids, &n_ids);
	decode(v, ids, n_ids, &out);
	if (out.n != n || memcmp(out.p ? out.p : "", p, n))
		fail_msg("%s: '%.*s' came back as '%s'", name, (int)n, p, out.p ? out.p : "");
	free(ids);
	buf_fini(&out);
	marked_fini(&m);
}

static void text_comes_back(void **state)
{
	(void)state;
	static const char *const parts[] = {" ", "  ", "\n", "\n\n", "a", "the ", "\xC3\xA9", "\xE4\xB8\x96", "\xF0\x9F\x98\x80", "\xE2\x80\x8D", "1", "'s", "<s>", "<0x41>", "<bos>"};
	uint64_t random = 5;
	json_t *g = golden("spm.json");
	for (size_t k = 0; k < N_FAMILIES + 2; k++) {
		const char *name = k < N_FAMILIES ? families[k] : k == N_FAMILIES ? "gemma" : "llama2";
		vocab *v = k < N_FAMILIES ? family_vocab(name) : golden_vocab(json_object_get(g, name));
		for (int round = 0; round < 300; round++) {
			char text[256] = "";
			size_t n = 1 + next_random(&random) % 12;
			for (size_t i = 0; i < n; i++)
				strcat(text, parts[next_random(&random) % (sizeof parts / sizeof *parts)]);
			if (!loses(name, text, strlen(text)))
				expect_round_trip(name, v, text, strlen(text));
		}
		vocab_close(&v);
	}
	json_decref(g);
}

/* Bytes that are not UTF-8: none is lost, whatever stands around them. */
static void broken_bytes_are_kept(void **state)
{
	(void)state;
	json_t *g = golden("spm.json");
	uint64_t random = 11;
	for (size_t k = 0; k < N_FAMILIES + 1; k++) {
		const char *name = k < N_FAMILIES ? families[k] : "gemma";
		vocab *v = k < N_FAMILIES ? family_vocab(name) : golden_vocab(json_object_get(g, name));
		for (int round = 0; round < 300; round++) {
			char bytes[40];
			size_t n = next_random(&random) % sizeof bytes, n_ids, at = 0;
			int32_t *ids;
			for (size_t i = 0; i < n; i++)
				bytes[i] = "\x80\xBF\xC3\xE4\xF0\x9F\xFF\xED\xA0 a1\n'\xC0\xE2"[next_random(&random) % 16];
			if (loses(name, bytes, n))
				continue;
			buf want;
			buf_init(&want, 0);
			if (!strcmp(name, "qwen2"))
				assert_true(normalize_nfc((str){bytes, n}, &want)); /* U+2000 becomes U+2002 */
			else
				buf_append(&want, bytes, n);
			marked_text m;
			marked_init(&m, 0);
			marked_append(&m, bytes, n, round % 2);
			encode(v, &m, &ids, &n_ids);
			for (size_t i = 0; i < n_ids; i++) {
				str s = vocab_token(v, ids[i]);
				if (i == 0 && vocab_strips_blank(v) && *s.p == ' ')
					s.p++, s.n--;
				if (s.n > want.n - at || memcmp(want.p + at, s.p, s.n))
					fail_msg("%s: round %d, token %zu", name, round, i);
				at += s.n;
			}
			assert_int_equal(at, want.n);
			buf_fini(&want);
			free(ids);
			marked_fini(&m);
		}
		vocab_close(&v);
	}
	json_decref(g);
}

static void byte_tokens_make_characters(void **state)
{
	(void)state;
	vocab *v = family_vocab("gemma");
	marked_text m;
	int32_t *ids;
	size_t n;
	buf out;
	marked_of(&m, "U\xF0\x9F\xA6\xA5", (const char *)NULL); /* a sloth, which the vocabulary has not seen */
	encode(v, &m, &ids, &n);
	assert_int_equal(n, 4);
	assert_true(str_eq(vocab_token(v, ids[0]), STR("\xF0")));
	decode(v, ids, 4, &out);
	assert_string_equal(out.p, "\xF0\x9F\xA6\xA5");
	buf_fini(&out);
	decode(v, ids, 3, &out);
	assert_string_equal(out.p, "\xEF\xBF\xBD");
	buf_fini(&out);
	free(ids);
	marked_fini(&m);
	vocab_close(&v);
}

static void only_one_leading_blank_is_dropped(void **state)
{
	(void)state;
	vocab *v = family_vocab("llama2");
	marked_text m;
	int32_t *ids;
	size_t n;
	buf out;
	marked_of(&m, "T<s>  hello  world", (const char *)NULL);
	encode(v, &m, &ids, &n);
	assert_int_equal(ids[0], vocab_bos(v));
	decode(v, ids, n, &out); /* the control token before it renders as nothing */
	assert_string_equal(out.p, "  hello  world");
	buf_fini(&out);
	free(ids);
	marked_fini(&m);
	vocab_close(&v);
}

/* ---- trust ---- */

static size_t count_of(const vocab *v, const marked_text *m, int32_t id)
{
	int32_t *ids;
	size_t n, count = 0;
	encode(v, m, &ids, &n);
	for (size_t i = 0; i < n; i++)
		count += ids[i] == id;
	free(ids);
	return count;
}

static void clients_write_user_defined_tokens_but_no_control_tokens(void **state)
{
	(void)state;
	vocab *v = family_vocab("gemma");
	marked_text m;
	marked_of(&m, "U<start_of_turn><table><bos><|tool|>", "T<start_of_turn><tab", "Ule><|tool|>", "T<|tool|>", (const char *)NULL);
	assert_int_equal(count_of(v, &m, vocab_find(v, STR("<start_of_turn>"))), 1);
	assert_int_equal(count_of(v, &m, vocab_find(v, STR("<table>"))), 2);
	assert_int_equal(count_of(v, &m, vocab_find(v, STR("<|tool|>"))), 1); /* user-defined, but it looks like a control token */
	assert_int_equal(count_of(v, &m, vocab_find(v, STR("<bos>"))), 0);
	marked_fini(&m);
	vocab_close(&v);
}

/* ---- NFC ---- */

static void expect_nfc(const char *text, const char *want)
{
	buf out;
	buf_init(&out, 0);
	assert_true(normalize_nfc(str_of(text), &out));
	if (strcmp(out.p ? out.p : "", want))
		fail_msg("'%s' became '%s', not '%s'", text, out.p, want);
	buf_fini(&out);
}

static void nfc_composes_and_leaves_broken_bytes_alone(void **state)
{
	(void)state;
	expect_nfc("", "");
	expect_nfc("plain", "plain");
	expect_nfc("e\xCC\x81", "\xC3\xA9");
	expect_nfc("xe\xCC\x81y", "x\xC3\xA9y");
	expect_nfc("a\xCC\x81\xCC\xA3", "\xE1\xBA\xA1\xCC\x81");             /* marks change places */
	expect_nfc("\xC3\xA1\xCC\xA3", "\xE1\xBA\xA1\xCC\x81");              /* and a composed letter comes apart for it */
	expect_nfc("\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8", "\xEA\xB0\x81");  /* Hangul */
	expect_nfc("\xE2\x84\xAA\xE1\xBF\xAF", "K`");
	expect_nfc("e\xFF\xCC\x81", "e\xFF\xCC\x81");
	expect_nfc("e\xCC", "e\xCC");
	expect_nfc("\xCC\x81", "\xCC\x81");
	expect_nfc("\xF0\x9F\x98\x80\xF0\x9F", "\xF0\x9F\x98\x80\xF0\x9F");
}

/* ---- refusals of vocabularies ---- */

static void byte_tokens_are_spelled_strictly(void **state)
{
	(void)state;
	static const char *const good[] = {"<0x00>", "<0x0A>", "<0xFF>"};
	static const char *const bad[] = {"<0x-1>", "<0xZZ>", "<0x100>", "", "<0x>", "<0x0>", "<0x0a>", "<0x+1>", "<0x 1>", "0x0A", "<0x0A", "<0x0A>>", "<0X0A>"};
	assert_int_equal(spm_byte_of(str_of(good[1])), 10);
	for (size_t i = 0; i < sizeof good / sizeof *good + sizeof bad / sizeof *bad; i++) {
		bool is_good = i < sizeof good / sizeof *good;
		const char *spelling = is_good ? good[i] : bad[i - sizeof good / sizeof *good];
		assert_int_equal(spm_byte_of(str_of(spelling)) >= 0, is_good);
		const str tokens[] = {STR("<unk>"), str_of(spelling), STR("a")};
		const int32_t types[] = {TOKEN_UNKNOWN, TOKEN_BYTE, TOKEN_NORMAL};
		const float scores[] = {0, 0, -1};
		vocab_config c = {.model = "llama", .tokens = tokens, .types = types, .scores = scores, .n_tokens = 3, .bos = -1, .eos = -1, .eot = -1,
		                  .unk_for_missing = true};
		vocab *v;
		sn_error err = {0};
		assert_int_equal(vocab_open(&v, &c, &err), is_good ? SN_OK : SN_ERR_INVALID);
		if (!is_good && !strstr(err.text, "token 1"))
			fail_msg("'%s' does not name the token", err.text);
		vocab_close(&v);
	}
}

static void expect_refusal(vocab_config c, sn_status status, const char *word)
{
	vocab *v;
	sn_error err = {0};
	assert_int_equal(vocab_open(&v, &c, &err), status);
	assert_null(v);
	if (!strstr(err.text, word))
		fail_msg("'%s' does not say '%s'", err.text, word);
}

static void broken_pieces_are_refused_by_name(void **state)
{
	(void)state;
	const str tokens[] = {STR("<unk>"), STR("<0x41>"), STR("a"), STR("<0x41>"), STR("aa")};
	const int32_t types[] = {TOKEN_UNKNOWN, TOKEN_BYTE, TOKEN_NORMAL, TOKEN_BYTE, TOKEN_NORMAL};
	const float scores[] = {0, 0, -1, 0, 0}, odd[] = {0, 0, __builtin_nanf(""), 0, 0};
	static char long_token[600];
	memset(long_token, 'a', sizeof long_token);
	const str longer[] = {STR("<unk>"), {long_token, sizeof long_token}, STR("a")};
	const vocab_merge merges[] = {{2, 2, 4}, {2, 2, 4}}, outside[] = {{2, 2, 5}}, negative[] = {{-1, 2, 4}};
	const int32_t eog[] = {5};
	const vocab_config good = {.model = "llama", .tokens = tokens, .types = types, .scores = scores, .n_tokens = 3, .bos = -1, .eos = -1, .eot = -1,
	                           .unk_for_missing = true};
	vocab_config c = good, ranked = good;
	vocab *v;
	assert_int_equal(vocab_open(&v, &c, NULL), SN_OK);
	vocab_close(&v);
	ranked.model = "bpe";
	ranked.scores = NULL;
	ranked.types = (const int32_t[]){TOKEN_UNKNOWN, TOKEN_BYTE, TOKEN_NORMAL, TOKEN_NORMAL, TOKEN_NORMAL};
	ranked.n_tokens = 5;
	ranked.merge_ids = merges;
	ranked.n_merges = 1;
	assert_int_equal(vocab_open(&v, &ranked, NULL), SN_OK);
	vocab_close(&v);
	expect_refusal((c = good, c.n_tokens = 4, c), SN_ERR_INVALID, "same byte");
	expect_refusal((c = good, c.scores = odd, c), SN_ERR_INVALID, "token 2");
	expect_refusal((c = good, c.scores = NULL, c), SN_ERR_INVALID, "scores");
	expect_refusal((c = good, c.tokens = longer, c.types = NULL, c), SN_ERR_INVALID, "token 1");
	expect_refusal((c = good, c.types = NULL, c.unk_for_missing = false, c), SN_ERR_INVALID, "neither byte tokens");
	expect_refusal((c = good, c.unk = 3, c), SN_ERR_INVALID, "unknown id 3");
	expect_refusal((c = good, c.eog = eog, c.n_eog = 1, c), SN_ERR_INVALID, "end of generation id 5");
	expect_refusal((c = good, c.eog = (const int32_t[]){-1}, c.n_eog = 1, c), SN_ERR_INVALID, "-1");
	expect_refusal((c = ranked, c.scores = scores, c), SN_ERR_INVALID, "scores");
	expect_refusal((c = ranked, c.n_merges = 2, c), SN_ERR_INVALID, "merge 1 is there twice");
	expect_refusal((c = ranked, c.merge_ids = outside, c), SN_ERR_INVALID, "merge 0");
	expect_refusal((c = ranked, c.merge_ids = negative, c), SN_ERR_INVALID, "merge 0");
}

/* ---- refusals of directories ---- */

/* A copy of a family with one change, and what its refusal says (NULL: it loads). path: keys and indices from the top. */
typedef struct twist {
	const char *family, *file, *path, *json; /* json NULL: the member is removed */
	const char *expected;
} twist;

static void apply(json_t *root, const twist *t)
{
	char path[128], *save = NULL;
	json_error_t why;
	snprintf(path, sizeof path, "%s", t->path);
	json_t *at = root, *value = t->json ? json_loads(t->json, JSON_DECODE_ANY, &why) : NULL;
	if (t->json && !value)
		fail_msg("%s: %s", t->json, why.text);
	for (char *key = strtok_r(path, "/", &save), *next; key; key = next) {
		next = strtok_r(NULL, "/", &save);
		if (next)
			at = json_is_array(at) ? json_array_get(at, (size_t)atoi(key)) : json_object_get(at, key);
		else if (json_is_array(at) && !strcmp(key, "+"))
			assert_int_equal(json_array_append_new(at, value), 0);
		else if (json_is_array(at))
			assert_int_equal(json_array_set_new(at, (size_t)atoi(key), value), 0);
		else
			assert_int_equal(value ? json_object_set_new(at, key, value) : json_object_del(at, key), 0);
	}
}

static const char *const family_files[] = {"tokenizer.json", "tokenizer_config.json", "tekken.json", "tokenizer.model"};
enum { N_FILES = sizeof family_files / sizeof *family_files };

/* At most n bytes of it. */
static bool copy_file(const char *dir, const char *family, const char *file, size_t n)
{
	static char bytes[1 << 20];
	char from[512], to[128];
	snprintf(from, sizeof from, "%s/hf/%s/%s", GOLDEN_DIR, family, file);
	snprintf(to, sizeof to, "%s/%s", dir, file);
	FILE *in = fopen(from, "rb");
	if (!in)
		return false;
	size_t have = fread(bytes, 1, n < sizeof bytes ? n : sizeof bytes, in);
	FILE *out = fopen(to, "wb");
	assert_non_null(out);
	assert_int_equal(fwrite(bytes, 1, have, out), have);
	fclose(in);
	fclose(out);
	return have == n;
}

static void remove_files(const char *dir)
{
	for (size_t i = 0; i < N_FILES; i++) {
		char file[128];
		snprintf(file, sizeof file, "%s/%s", dir, family_files[i]);
		unlink(file);
	}
	rmdir(dir);
}

static void copy_family(const char *dir, const twist *t)
{
	for (const char *const *file = family_files; file < family_files + N_FILES; file++) {
		char name[128], to[512];
		snprintf(to, sizeof to, "%s/hf/%s/%s", GOLDEN_DIR, t->family, *file);
		if (access(to, R_OK) != 0)
			continue;
		if (!strcmp(*file, "tokenizer.model")) {
			copy_file(dir, t->family, *file, SIZE_MAX);
			continue;
		}
		snprintf(name, sizeof name, "hf/%s/%s", t->family, *file);
		snprintf(to, sizeof to, "%s/%s", dir, *file);
		json_t *j = golden(name);
		if (!strcmp(*file, t->file))
			apply(j, t);
		assert_int_equal(json_dump_file(j, to, 0), 0);
		json_decref(j);
	}
}

static void check_twist(const twist *t)
{
	char dir[] = "/tmp/sn-tokenizer-XXXXXX";
	sn_error err = {0};
	assert_non_null(mkdtemp(dir));
	copy_family(dir, t);
	vocab *v = directory_vocab(dir, &err);
	if (!t->expected != !!v)
		fail_msg("%s, %s = %s: %s", t->family, t->path, t->json ? t->json : "gone", v ? "was not refused" : err.text);
	if (t->expected && !strstr(err.text, t->expected))
		fail_msg("%s, %s = %s: '%s' does not say '%s'", t->family, t->path, t->json ? t->json : "gone", err.text, t->expected);
	vocab_close(&v);
	remove_files(dir);
}

#define J "tokenizer.json"
#define C "tokenizer_config.json"
#define K "tekken.json"
#define FLAGS "\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":true"

static void tables_that_lie_are_refused(void **state)
{
	(void)state;
	static const twist twists[] = {
		{"qwen2", J, "model/vocab/newest", "706", "have the same id 706"},
		{"qwen2", J, "model/vocab/newest", "9999", "'newest' has id 9999"},
		{"qwen2", J, "model/vocab/newest", "-1", "'newest' has id -1"},
		{"qwen2", J, "model/vocab/newest", "\"5\"", "no integer id"},
		{"qwen2", J, "model/vocab/a", "1.5", "no integer id"},
		{"qwen2", J, "model/vocab/!", NULL, "0 to"},
		{"qwen2", J, "model/vocab", "[]", "without vocab"},
		{"qwen2", J, "model/merges", "{}", "without vocab or merges"},
		{"qwen2", J, "model", NULL, "model is missing"},
		{"qwen2", J, "model/merges/5", "[\"a\",\"nowhere\"]", "merge 5"},
		{"qwen2", J, "model/merges/5", "[\"a\"]", "merge 5 is not a pair"},
		{"qwen2", J, "model/merges/5", "\"a b c\"", "merge 5 is not a pair"},
		{"qwen2", J, "model/merges/5", "\"ab\"", "merge 5 is not a pair"},
		{"qwen2", J, "model/merges/5", "7", "merge 5 is not a pair"},
		{"qwen2", J, "model/merges/+", "[\"Ġ\",\"Ġ\"]", "is there twice"},
		{"qwen2", J, "added_tokens/0/id", "3", "have the same id 3"},
		{"qwen2", J, "added_tokens/0/id", "4000", "has id 4000"},
		{"qwen2", J, "added_tokens/0/id", "-4", "has id -4"},
		{"qwen2", J, "added_tokens/0/id", NULL, "no content or id"},
		{"qwen2", J, "added_tokens/0/content", "\"\"", "no content or id"},
		{"qwen2", J, "added_tokens/0/content", "\"<|im_end|>\"", "'<|im_end|>' is added twice"},
		{"gpt2", J, "added_tokens/0/id", "700", "another id"},
		{"gpt2", J, "added_tokens/+", "{\"id\":0,\"content\":\"<|endoftext|>\"," FLAGS "}", "added twice"},
		{"gemma", J, "model/unk_token", "\"<none>\"", "unk_token '<none>'"},
		{"gemma", C, "bos_token", "\"<nobody>\"", "bos_token '<nobody>'"},
		{"gemma", C, "bos_token", "\"<eos>\"", "'<bos>' first"},
		{"qwen2", C, "add_bos_token", "true", "without bos_token"},
		{"qwen2", C, "added_tokens_decoder", "{\"700\":{\"content\":\"<|endoftext|>\"}}", NULL},
		{"qwen2", C, "added_tokens_decoder", "{\"700\":{\"content\":\"<other>\"}}", "added token 700"},
		{"qwen2", C, "added_tokens_decoder", "{\"70000\":{\"content\":\"<other>\"}}", "added token 70000"},
		{"qwen2", C, "added_tokens_decoder", "{\"x\":7}", "added token x"},
	};
	for (size_t i = 0; i < sizeof twists / sizeof *twists; i++)
		check_twist(&twists[i]);
}

static void unknown_components_are_refused_by_name(void **state)
{
	(void)state;
	static const twist twists[] = {
		{"qwen2", J, "model/type", "\"Unigram\"", "Unigram"},
		{"qwen2", J, "model/type", NULL, NULL},
		{"qwen2", J, "model/dropout", "0.1", "dropout"},
		{"qwen2", J, "model/end_of_word_suffix", "\"</w>\"", "end_of_word_suffix"},
		{"qwen2", J, "model/continuing_subword_prefix", "\"\"", NULL},
		{"qwen2", J, "model/byte_fallback", "true", "byte_fallback"},
		{"gemma", J, "model/byte_fallback", "false", "byte_fallback"},
		{"gemma", J, "model/ignore_merges", "true", "ignore_merges"},
		{"qwen2", J, "added_tokens/2/lstrip", "true", "'<|im_end|>' with lstrip"},
		{"qwen2", J, "added_tokens/2/rstrip", "true", NULL},
		{"qwen2", J, "added_tokens/2/single_word", "true", "with single_word"},
		{"qwen2", J, "added_tokens/2/normalized", "true", "with normalized"},
		{"qwen2", J, "added_tokens/6/normalized", "true", NULL},
		{"qwen2", C, "added_tokens_decoder", "{\"700\":{\"content\":\"<|endoftext|>\",\"rstrip\":true}}", "rstrip"},
		{"gemma", J, "added_tokens/0/normalized", "true", "with normalized"},
		{"llama3", J, "added_tokens/0/normalized", "true", NULL},
		{"qwen2", J, "normalizer", "null", NULL},
		{"qwen2", J, "normalizer", "{\"type\":\"NFKC\"}", "normalizer NFKC"},
		{"qwen2", J, "normalizer", "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"}]}", NULL},
		{"qwen2", J, "normalizer", "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Lowercase\"}]}", "Lowercase"},
		{"qwen2", J, "normalizer", "{\"type\":\"Sequence\"}", "without normalizers"},
		{"qwen2", J, "normalizer", "{}", "has no type"},
		{"qwen2", J, "normalizer", "{\"type\":\"Prepend\",\"prepend\":\"▁\"}", "before ByteLevel"},
		{"gemma", J, "normalizer", "{\"type\":\"NFC\"}", "pre_tokenizer Split"},
		{"gemma", J, "normalizer/content", "\"_\"", "normalizer Replace"},
		{"llama2", J, "normalizer", "null", "neither ByteLevel"},
		{"qwen2", J, "pre_tokenizer/pretokenizers/0/pattern/Regex", "\"\\\\w+\"", "\\w+"},
		{"qwen2", J, "pre_tokenizer/pretokenizers/0/behavior", "\"Removed\"", "Split of this behavior"},
		{"qwen2", J, "pre_tokenizer/pretokenizers/0/invert", "true", "Split of this behavior"},
		{"qwen2", J, "pre_tokenizer/pretokenizers/0", "{\"type\":\"Whitespace\"}", "ByteLevel after"},
		{"qwen2", J, "pre_tokenizer/pretokenizers/1/add_prefix_space", "true", "add_prefix_space"},
		{"qwen2", J, "pre_tokenizer/pretokenizers/1/use_regex", "true", "ByteLevel after"},
		{"qwen2", J, "pre_tokenizer", "{\"type\":\"Whitespace\"}", "Whitespace"},
		{"smollm", J, "pre_tokenizer/pretokenizers/0/individual_digits", "false", "ByteLevel after"},
		{"llama2-first", J, "pre_tokenizer/replacement", "\"_\"", "another replacement"},
		{"llama2-first", J, "pre_tokenizer/prepend_scheme", "\"sometimes\"", "sometimes"},
		{"qwen2", J, "post_processor", "null", NULL},
		{"qwen2", J, "post_processor", "{\"type\":\"RobertaProcessing\"}", "RobertaProcessing"},
		{"gemma", J, "post_processor/single/+", "{\"SpecialToken\":{\"id\":\"<eos>\",\"type_id\":0}}", "appends several tokens"},
		{"gemma", J, "post_processor/single/+", "{\"SpecialToken\":{\"id\":\"<bos>\",\"type_id\":0}}", NULL},
		{"gemma", J, "post_processor/single/+", "{\"Sequence\":{\"id\":\"B\",\"type_id\":0}}", "appends more than one token"},
		{"gemma", J, "post_processor/single/1", "{\"Sequence\":{\"id\":\"B\",\"type_id\":0}}", "of this form"},
		{"gemma", J, "post_processor/special_tokens/<bos>/ids", "[1,2]", "several"},
		{"qwen2", J, "decoder", "null", "decoder null"},
		{"qwen2", J, "decoder", "{\"type\":\"WordPiece\"}", "decoder WordPiece"},
		{"gemma", J, "decoder/decoders/0/content", "\"_\"", "decoder Replace"},
		{"gemma", J, "decoder/decoders/+", "{\"type\":\"CTC\"}", "decoder CTC"},
		{"llama2", J, "decoder/decoders/3/start", "2", "decoder Strip"},
		{"gemma", C, "add_eos_token", "true", "add_eos_token"},
	};
	for (size_t i = 0; i < sizeof twists / sizeof *twists; i++)
		check_twist(&twists[i]);
	sn_error err = {0};
	assert_null(directory_vocab("/nonexistent", &err));
	assert_int_equal(err.status, SN_ERR_NOT_FOUND);
}

static void other_files_than_tokenizer_json_are_read_strictly(void **state)
{
	(void)state;
	static const twist twists[] = {
		{"tekken-alone", K, "config/pattern", "\"\\\\w+\"", "config.pattern \\w+ is not supported"},
		{"tekken-alone", K, "config/pattern", NULL, "are missing"},
		{"tekken-alone", K, "config/default_vocab_size", "24", "24 tokens, 24 of them special"},
		{"tekken-alone", K, "config/default_vocab_size", "100000000", "100000000 tokens"},
		{"tekken-alone", K, "config/default_vocab_size", "5000", "5000 tokens"},
		{"tekken-alone", K, "config/default_num_special_tokens", "0", "0 of them special"},
		{"tekken-alone", K, "config/default_num_special_tokens", "5", "special token 5 has no text or no rank below 5"},
		{"tekken-alone", K, "vocab", "{}", "are missing"},
		{"tekken-alone", K, "vocab/3/rank", "4", "token 3 has another rank"},
		{"tekken-alone", K, "vocab/3/rank", NULL, "token 3 has another rank"},
		{"tekken-alone", K, "vocab/3/token_bytes", "\"A\"", "token 3: token_bytes is not base64"},
		{"tekken-alone", K, "vocab/3/token_bytes", "\"\"", "token 3: token_bytes is not base64"},
		{"tekken-alone", K, "vocab/3/token_bytes", "\"A=BC\"", "token 3: token_bytes is not base64"},
		{"tekken-alone", K, "vocab/3/token_bytes", "\"====\"", "token 3: token_bytes is not base64"},
		{"tekken-alone", K, "vocab/3/token_bytes", "7", "token 3: token_bytes is not base64"},
		{"tekken-alone", K, "vocab/3/token_str", "7", NULL}, /* it is for readers */
		{"tekken-alone", K, "special_tokens", "{}", "special_tokens is not a list"},
		{"tekken-alone", K, "special_tokens/1/rank", "0", "two special tokens of rank 0"},
		{"tekken-alone", K, "special_tokens/1/rank", "-1", "special token 1 has no text or no rank"},
		{"tekken-alone", K, "special_tokens/1/token_str", "\"\"", "special token 1 has no text"},
		{"gemma-pieces", C, "bos_token", "\"<nobody>\"", "bos_token '<nobody>'"},
		{"gemma-pieces", C, "add_eos_token", "true", "add_eos_token is not supported"},
		{"gemma-pieces", C, "added_tokens_decoder/0/content", "\"<other>\"", "added token 0 is not the one in tokenizer.model"},
		{"gemma-pieces", C, "added_tokens_decoder/0/lstrip", "true", "added token <pad> with lstrip is not supported"},
		{"gemma-pieces", C, "added_tokens_decoder/900", "{\"content\":\"<next>\",\"special\":true}", NULL},
		{"gemma-pieces", C, "added_tokens_decoder/9000", "{\"content\":\"<far>\"}", "added token 9000 has no text, or an id that leaves a gap"},
		{"gemma-pieces", C, "added_tokens_decoder/902", "{\"content\":\"<far>\"}", "no added token has the id 900"},
		{"gemma-pieces", C, "added_tokens_decoder/x", "{\"content\":\"<x>\"}", "added token x has no text"},
	};
	for (size_t i = 0; i < sizeof twists / sizeof *twists; i++)
		check_twist(&twists[i]);
	for (size_t n = 0; n < 60000; n = n < 300 ? n + 1 : n + 997) { /* breaks off anywhere: refused with a reason, or a smaller vocabulary */
		char dir[] = "/tmp/sn-tokenizer-XXXXXX";
		sn_error err = {0};
		assert_non_null(mkdtemp(dir));
		bool cut = copy_file(dir, "llama2-pieces", "tokenizer.model", n);
		vocab *v = directory_vocab(dir, &err);
		assert_true(v || strstr(err.text, "tokenizer.model") || strstr(err.text, "vocabulary"));
		assert_true(cut || v);
		vocab_close(&v);
		remove_files(dir);
	}
}

static void directories_say_what_their_tokens_are(void **state)
{
	(void)state;
	vocab *v = family_vocab("llama3");
	assert_true(vocab_adds_bos(v));
	assert_true(str_eq(vocab_token(v, vocab_bos(v)), STR("<|endoftext|>")));
	assert_true(vocab_is_eog(v, vocab_eos(v)) && vocab_is_control(v, vocab_eos(v)));
	vocab_close(&v);
	v = family_vocab("qwen2");
	assert_false(vocab_adds_bos(v));
	assert_int_equal(vocab_bos(v), -1);
	vocab_close(&v);
	v = family_vocab("gemma");
	assert_true(vocab_adds_bos(v) && !vocab_strips_blank(v));
	assert_int_equal(vocab_bos(v), 2);
	assert_true(vocab_is_eog(v, vocab_find(v, STR("<end_of_turn>"))) && vocab_is_eog(v, 1));
	vocab_close(&v);
	/* What the author listed replaces what is known by spelling. */
	const str tokens[] = {STR("a"), STR("<|im_end|>"), STR("<stop>")};
	const int32_t types[] = {1, 3, 3}, eog[] = {2};
	vocab_config c = {.model = "gpt2", .pre = "gpt-2", .tokens = tokens, .types = types, .n_tokens = 3, .bos = -1, .eos = -1, .eot = -1, .unk = -1,
	                  .eog = eog, .n_eog = 1};
	assert_int_equal(vocab_open(&v, &c, NULL), SN_OK);
	assert_true(vocab_is_eog(v, 2) && !vocab_is_eog(v, 1));
	vocab_close(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_of_directories_are_those_of_tokenizers),
		cmocka_unit_test(ids_of_scores_are_those_of_sentencepiece),
		cmocka_unit_test(text_comes_back),
		cmocka_unit_test(broken_bytes_are_kept),
		cmocka_unit_test(byte_tokens_make_characters),
		cmocka_unit_test(only_one_leading_blank_is_dropped),
		cmocka_unit_test(clients_write_user_defined_tokens_but_no_control_tokens),
		cmocka_unit_test(nfc_composes_and_leaves_broken_bytes_alone),
		cmocka_unit_test(byte_tokens_are_spelled_strictly),
		cmocka_unit_test(broken_pieces_are_refused_by_name),
		cmocka_unit_test(tables_that_lie_are_refused),
		cmocka_unit_test(unknown_components_are_refused_by_name),
		cmocka_unit_test(other_files_than_tokenizer_json_are_read_strictly),
		cmocka_unit_test(directories_say_what_their_tokens_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
