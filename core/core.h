/* core.h - the engine as its embedders see it: the only header that api/ and samples/ include.
 *
 * One sn_engine holds the page pool, the models, the plugins and the one engine thread. A request goes in once
 * (sn_chat_submit, sn_completion_submit) and comes back as events (sn_request_next); nothing here calls back into the embedder.
 *
 * Thread tags: [any] from any thread at any time; [main] from the thread that opened the engine.
 * Errors: functions that can fail return sn_status and fill the caller's sn_error (may be NULL) with a fixed text.
 */
#ifndef SN_CORE_H
#define SN_CORE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SN_VERSION "0.1.0"

/* ---- errors ------------------------------------------------------------------------------------------------- */

/* What went wrong, and whose fault it is. The API maps each to one HTTP status. */
typedef enum sn_status {
	SN_OK = 0,
	SN_ERR_INVALID,        /* the caller's input is wrong (400) */
	SN_ERR_UNSUPPORTED,    /* well-formed, but not something this build does (400) */
	SN_ERR_CONTEXT_LENGTH, /* prompt + max_tokens exceeds the context or the page pool (400) */
	SN_ERR_NOT_FOUND,      /* no such model, file, plugin (404) */
	SN_ERR_TOO_LARGE,      /* over a documented cap (413) */
	SN_ERR_MEDIA_TYPE,     /* bytes that no codec claims (415) */
	SN_ERR_QUEUE_FULL,     /* back-pressure: try again later (429) */
	SN_ERR_DRAINING,       /* shutting down or not ready (503) */
	SN_ERR_DEADLINE,       /* a time limit passed (503 before the first token, an error event after) */
	SN_ERR_CANCELLED,      /* by the client */
	SN_ERR_NOMEM,          /* allocation failed (503) */
	SN_ERR_IO,             /* the operating system said no */
	SN_ERR_PLUGIN,         /* a plugin failed or broke its contract (500) */
	SN_ERR_INTERNAL        /* a bug, or non-finite logits (500) */
} sn_status;

typedef struct sn_error {
	sn_status status;
	char param[64];  /* the request field to blame, "" if none */
	char text[384];  /* fixed wording: no pointer, no path of the server, no echo of the client's bytes */
} sn_error;

/* ---- JSON: jansson tells a failed allocation as a syntax error, or drops bytes of a string and goes on; its reader then runs past the
 * end of its buffer or into an assertion (jansson 2.14, issue 362). Whoever puts its allocator here gets what follows from it. */

/* Once, before any other thread and any other call of jansson's. What jansson has allocated is jansson's to free. */
void sn_json_init(void);
/* Runs read, which makes one tree and nothing else. False: there was no memory, it was left on the spot and all it had taken is given back. */
bool sn_json_guard(void (*read)(void *ctx), void *ctx);
/* For JSON that is made, not read: did this thread's jansson want for memory since the last sn_json_watch? */
void sn_json_watch(void);
bool sn_json_starved(void);

/* ---- log ---------------------------------------------------------------------------------------------------- */

typedef enum sn_log_level { SN_LOG_DEBUG, SN_LOG_INFO, SN_LOG_WARN, SN_LOG_ERROR } sn_log_level;
typedef struct sn_log sn_log;

typedef struct sn_log_config {
	sn_log_level level; /* lines below it are dropped */
	bool json;          /* one JSON object a line, else text */
	int fd;             /* where lines go, normally 2; borrowed */
} sn_log_config;

sn_status sn_log_open(sn_log **out, const sn_log_config *config, sn_error *err);
void sn_log_close(sn_log **log);
/* One event = one line = one write(2). Control characters and invalid UTF-8 are escaped. request_id may be NULL. [any] */
void sn_log_write(sn_log *log, sn_log_level level, const char *topic, const char *request_id, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* ---- engine ------------------------------------------------------------------------------------------------- */

typedef struct sn_engine sn_engine;

/* auto: f32 for a model whose matrices are all F32 (so that it is exact), else f16. */
typedef enum sn_kv_dtype { SN_KV_AUTO, SN_KV_F16, SN_KV_F32, SN_KV_BF16, SN_KV_Q8_0, SN_KV_FP8 } sn_kv_dtype;

/* Every field has a default (0 or NULL means it). The command line's flags carry vLLM's names for the same things. */
typedef struct sn_engine_config {
	sn_log *log;                     /* required; outlives the engine */
	const char *plugin_dir;          /* absolute; NULL: no plugins */
	size_t kv_cache_memory;          /* bytes of the page pool; default 512 MiB, or half of a smaller machine's memory */
	size_t memory_limit;             /* bytes for weights + tables + buffers of a step + plugins + pool; 0: no limit */
	size_t media_cache_memory;       /* bytes of encoder rows kept; default 64 MiB */
	size_t max_media_memory;         /* bytes of decoded media alive at once; default 512 MiB */
	uint32_t threads;                /* compute threads; default: cores this process may use */
	uint32_t max_num_seqs;           /* sequences in one step; default 64 */
	uint32_t max_num_batched_tokens; /* rows in one step; default 512 */
	uint32_t max_queued_requests;    /* default 128; above it SN_ERR_QUEUE_FULL */
	uint32_t max_model_len;          /* caps every model's context; default: the model's own */
	uint32_t media_threads;          /* decodes at once; default 2 */
	const char *codec_helper;        /* a program that ends in sn_codec_helper: codecs run there, a process for each decode at once; NULL: here */
	const char *const *codec_helper_argv; /* its arguments, NULL-terminated; both outlive the engine */
	uint32_t codec_timeout_ms;       /* of one call there; default 120000 */
	uint32_t isa_mask;               /* tests: cap the kernels' ISA: 0 best, 1 plain C, 2 at most AVX2 */
	uint32_t queue_timeout_ms;       /* until a request's first row is computed; 0: as long as its timeout_ms lets it wait */
	uint32_t step_timeout_ms;        /* watchdog: readiness goes off when a step takes longer; default 30000 */
	bool no_prefix_caching;          /* --no-enable-prefix-caching */
	sn_kv_dtype kv_dtype;            /* of keys and values; default auto. Rows of media: f32, bf16, else f16 */
	bool share_cache;                /* one cache salt for all keys */
} sn_engine_config;

sn_status sn_engine_open(sn_engine **out, const sn_engine_config *config, sn_error *err); /* [main] */
#define SN_CODEC_HELPER_FD 3
/* What a codec helper is, from its first line on: SN_CODEC_HELPER_FD is its socket. Returns the process's exit code. */
int sn_codec_helper(void);
/* Stops the engine thread; running requests get an error event. All requests must be closed by their owners first
 * or soon after: the call waits for them. [main] */
void sn_engine_close(sn_engine **engine);

/* How the rows of a text become its embedding. auto: as the model's file says, else the last row. */
typedef enum sn_pooling { SN_POOLING_AUTO, SN_POOLING_LAST, SN_POOLING_MEAN, SN_POOLING_CLS } sn_pooling;

typedef struct sn_model_config {
	const char *name;   /* what "model" in a request selects */
	const char *path;   /* GGUF file */
	const char *const *mmproj; /* GGUF files of its media towers, no two of one kind, and of its speaker; [n_mmproj] */
	size_t n_mmproj;
	const char *chat_template; /* Jinja source that replaces the file's, or NULL */
	sn_pooling pooling;        /* instead of what the file says */
} sn_model_config;

/* Maps and checks the files, loads an encoder plugin for each tower and a vocoder for the speaker, makes room for its KV in the pool. [main] */
sn_status sn_engine_load(sn_engine *engine, const sn_model_config *config, sn_error *err);
/* Starts the engine thread and runs one warm-up token per model; ready afterwards. [main] */
sn_status sn_engine_start(sn_engine *engine, sn_error *err);
/* Refuses new work from now on; what runs goes on. [any] */
void sn_engine_drain(sn_engine *engine);
/* Ends everything that still runs with an error event of status SN_ERR_DRAINING. [any] */
void sn_engine_abort_all(sn_engine *engine);

typedef struct sn_health {
	bool live;      /* the engine thread exists and its last step, if one is running, is within 10x the watchdog limit */
	bool ready;     /* started, not draining, no step over the watchdog limit */
	bool draining;
	uint32_t n_active; /* requests not yet ended, queued ones included */
} sn_health;
sn_health sn_engine_health(const sn_engine *engine); /* [any], never waits */

#define SN_MAX_MODALITIES 8 /* kinds of media that one model takes */
#define SN_KIND_SIZE 32     /* bytes of a kind's name, with its NUL */
#define SN_MAX_MEDIA 64     /* in one request */

typedef struct sn_model_info {
	const char *name;         /* owned by the engine, as all strings here */
	const char *architecture; /* "llama" */
	const char *_Atomic modalities[SN_MAX_MODALITIES + 1]; /* input kinds beside text: "image"; NULL-terminated. Grows while serving */
	uint32_t max_model_len;   /* tokens */
	_Atomic bool transcribes; /* it was made for sn_transcript_submit, and has no chat */
	bool embeds_only;         /* it was made for sn_embedding_open, and has no chat */
	_Atomic bool speaks;      /* it was made for sn_speech_open: sn_engine_voices */
	uint32_t n_vocab;
	int64_t created;          /* unix seconds of the load */
} sn_model_info;
size_t sn_engine_models(const sn_engine *engine, const sn_model_info **out); /* [any] */

typedef struct sn_plugin_info {
	const char *id, *version, *file; /* file: base name only */
	const char *license, *summary;
	/* "ready": decodes, or serves a model; "loaded": an encoder that no model needs; "degraded": its last three calls failed
	 * by its own fault (it is still tried, and one success ends it); "refused" */
	const char *state;
	const char *reason;              /* why refused, else "" */
	const char *extensions;          /* space-separated ids */
	const char *kind;                /* of media: "image", ... */
	const char *media_types;         /* space-separated, "" if none */
	uint32_t max_side, max_frames, max_seconds; /* codecs: limits of one medium, all 0 for others; 0 also: it has no such size */
	uint64_t max_pixels, max_samples, max_bytes; /* bytes: decoded */
	uint64_t calls, failures;        /* failures: that were not the input's fault */
	uint64_t media_bytes;            /* of files decoded, or of media encoded */
	uint32_t models;                 /* that it encodes for */
} sn_plugin_info;
/* Fills up to cap entries, returns how many there are. [any] */
size_t sn_engine_plugins(const sn_engine *engine, sn_plugin_info *out, size_t cap);
/* Loads one more file of the plugin folder while serving: codecs work at once, encoders join the models that they claim.
 * file: its plain name. SN_ERR_INVALID with the reason if it is refused; then nothing has changed. [any] */
sn_status sn_engine_add_plugin(sn_engine *engine, const char *file, sn_error *err);
/* The kind ("image") of the codec that knows these bytes, one that agrees with mime (may be NULL) first; NULL if none does.
 * Looks at the first bytes only. [any] */
const char *sn_engine_kind_of(const sn_engine *engine, const void *bytes, size_t size, const char *mime);

/* Prometheus text exposition of the engine's metrics, appended to out. [any] */
sn_status sn_engine_metrics(const sn_engine *engine, FILE *out);

/* What is counted of memory: see core/engine/memory.c. Bytes. */
typedef struct sn_memory { size_t weights, tables, buffers, plugins, pool, sum; } sn_memory;

#define SN_INSPECT_TYPES 40
#define SN_INSPECT_GROUPS 8

/* A model file, and what serving it would take: by the same functions that serve it. */
typedef struct sn_inspection {
	const char *name;      /* base name; all strings live as long as the inspection */
	const char *container; /* "GGUF v3", "Hugging Face directory" */
	size_t file_bytes, n_keys, n_tensors, n_types;
	struct { const char *name; size_t n_tensors, bytes; } types[SN_INSPECT_TYPES];
	const char *tokenizer, *pre_tokenizer; /* "gpt2", "qwen2"; NULL: none is named */
	size_t template_bytes; /* of its chat template; 0: none */
	/* The rest is of a model that can be served; else refusal says why not */
	const char *refusal;   /* NULL: it can */
	const char *architecture, *rope, *window_rope; /* window_rope NULL: no layer has a window */
	uint32_t n_layers, n_embd, n_ffn, n_head, n_kv_head, head_dim, n_context, window, n_windowed, n_experts, n_experts_used, n_cross, n_vocab;
	const char *pooling;   /* "last", "mean", "cls"; NULL: it does not embed */
	bool embeds;           /* and nothing else */
	const char *tools;     /* how its chat template has calls written: "hermes"; NULL: it takes no tools */
	const char *thinks;    /* the mark before its thinking; NULL: none is known */
	const char *kinds[SN_MAX_MODALITIES + 1]; /* of media that it takes; NULL-terminated */
	sn_memory memory;      /* with the pool that serve makes */
	const char *kv_type;
	size_t page_bytes;
	uint32_t n_pages, least_rows, least_pages; /* of the pool; rows that one sequence must be able to have, and their pages */
	size_t n_groups;
	struct {
		uint32_t n_layers, n_kv_head, head_dim, window, limit, block_tokens, slab_layers, n_slabs;
		double waste; /* share of its pages */
	} groups[SN_INSPECT_GROUPS];
	double token_bytes;    /* of a long sequence's next token, without windows that are full */
	uint32_t pages_per_gb; /* of 2^30 bytes */
	uint32_t longest;      /* tokens of the longest sequence that the pool holds */
	size_t total, available; /* the machine's memory, or its control group's; SIZE_MAX: not known */
	size_t left;           /* for a pool: --memory-limit's, or what is available, less the rest */
	uint32_t longest_left; /* tokens of the longest sequence that a pool of all that holds */
	bool fits;             /* serve would not refuse it for memory; else misfit says why */
	const char *misfit;
} sn_inspection;

/* config as for sn_engine_open, of which log may be NULL. Reads headers and tables, no weights but norms; opens no pool. [main] */
sn_status sn_inspect_open(sn_inspection **out, const sn_engine_config *config, const sn_model_config *model, sn_error *err);
void sn_inspect_close(sn_inspection **inspection);
/* Every key and tensor of the file, a line each. */
void sn_inspect_list(const sn_inspection *inspection, FILE *out);

/* Which models run, from which container, with which types of weights: a Markdown table out of the tables that the readers use. [any] */
void sn_architectures(FILE *out);

/* ---- checking a plugin file ---------------------------------------------------------------------------------- */

typedef enum sn_check_verdict {
	SN_CHECK_PASS, SN_CHECK_FAIL,
	SN_CHECK_NOT_DONE,      /* a model or a sample is missing: text says which */
	SN_CHECK_NOT_APPLICABLE /* a codec has no rows, an encoder no files */
} sn_check_verdict;

typedef struct sn_check_result {
	sn_check_verdict verdict;
	char text[480];
} sn_check_result;

typedef struct sn_check_config {
	const char *file;  /* absolute path of the .so */
	const char *model; /* that its encoders claim; NULL: a synthetic language model of which only the keys are there */
	const char *const *samples; /* [n_samples] files that its codecs read */
	size_t n_samples;
	sn_log *log;       /* required */
	/* NULL, or told what a crash was, where that is known: called in a signal handler, just before the process ends by that signal. */
	void (*on_crash)(const sn_check_result *result);
} sn_check_config;

size_t sn_check_count(void);
const char *sn_check_name(size_t i);
const char *sn_check_meaning(size_t i);
/* Runs one check in this process, which a bad plugin may crash or hang: give it a process of its own. [main] */
void sn_check_run(const sn_check_config *config, const char *name, sn_check_result *out);

/* ---- requests ----------------------------------------------------------------------------------------------- */

typedef enum sn_part_kind { SN_PART_TEXT, SN_PART_MEDIA } sn_part_kind;

typedef struct sn_part {
	sn_part_kind kind;
	const char *kind_name; /* MEDIA: "image"; what the chat template sees as the part's type */
	const char *data;      /* text (UTF-8, may hold NUL) or the encoded file's bytes */
	size_t size;           /* bytes */
	const char *mime;      /* MEDIA: what the client declared, or NULL; must agree with what the bytes say */
	/* Moving pictures: how much of the clip is looked at. 0 everywhere: as the model's own processor has it. */
	double fps;            /* frames taken for each second */
	double start, end;     /* seconds; end 0: to its last frame */
	uint32_t max_frames;   /* in all */
} sn_part;

/* What a chat template sees beside texts: tools, arguments. The client's words: special tokens spelled out in them are text. */
typedef enum sn_value_kind { SN_VALUE_NULL, SN_VALUE_BOOL, SN_VALUE_INT, SN_VALUE_REAL, SN_VALUE_STRING, SN_VALUE_LIST, SN_VALUE_DICT } sn_value_kind;
typedef struct sn_value sn_value;
struct sn_value {
	sn_value_kind kind;
	bool b;
	int64_t i;
	double real;
	const char *string;    /* [n] UTF-8, may hold NUL */
	const sn_value *items; /* LIST: [n]; DICT: [2 * n] each name, a string, before its value. At most SN_MAX_VALUE_DEPTH deep */
	size_t n;
};

#define SN_MAX_VALUE_DEPTH 64

/* What the assistant asked of a tool. */
typedef struct sn_tool_call {
	const char *id, *name;
	sn_value arguments;    /* a DICT */
	const char *text;      /* [size] the same, as it was written */
	size_t size;
} sn_tool_call;

typedef struct sn_message {
	const char *role;
	const sn_part *parts;
	size_t n_parts;
	bool is_string; /* content came as one string, not as a list of parts (n_parts is 1) */
	bool no_content; /* there is none: n_parts is 0 */
	const sn_tool_call *calls; /* [n_calls] assistant */
	size_t n_calls;
	const char *call_id, *name; /* tool: which call this is the result of, and which function; name NULL: not known */
	const char *thinking;       /* [thinking_size] assistant: what it thought before it said this; NULL: not known */
	size_t thinking_size;
} sn_message;

/* A variable for the chat template beside those that it always has, such as enable_thinking. A string is the client's word:
 * special tokens spelled out in it are text. Names that the template has already are refused (param "chat_template_kwargs"). */
typedef struct sn_chat_var {
	const char *name;
	enum { SN_VAR_BOOL, SN_VAR_NUMBER, SN_VAR_STRING } kind;
	bool b;
	double number; /* an int if it is whole */
	const char *string;
} sn_chat_var;

#define SN_MAX_CHAT_VARS 32

typedef struct sn_logit_bias { int32_t token; float bias; } sn_logit_bias;

#define SN_MAX_CHOICES 16
#define SN_MAX_STOP 4
#define SN_MAX_STOP_TOKENS 16
#define SN_MAX_TOP_LOGPROBS 20
#define SN_MAX_LOGIT_BIAS 1024
#define SN_MAX_SHOWN 8

/* A value outside its range is refused with SN_ERR_INVALID and its name in sn_error.param. */
typedef struct sn_sampling {
	uint32_t n;               /* choices, 1..SN_MAX_CHOICES; default 1. They share the prompt's pages, take one place in the queue together,
	                           * and count as n sequences where a step is shared out */
	float temperature;        /* 0..2; 0 is greedy. Default 1 */
	float top_p;              /* (0,1]; default 1 */
	float min_p;              /* [0,1]; default 0 */
	int32_t top_k;            /* <= 0: all */
	float presence_penalty;   /* -2..2 */
	float frequency_penalty;  /* -2..2 */
	float repetition_penalty; /* (0,10]; 1 is none */
	uint64_t seed;            /* choice c draws the same numbers whatever n is */
	bool has_seed;            /* else the engine draws one */
	uint32_t max_tokens;      /* of each choice; 0: the rest of the context or of the pool */
	uint32_t min_tokens;      /* end tokens and stop_token_ids cannot be sampled before; at most max_tokens */
	bool ignore_eos;          /* end tokens are tokens like any other (as in vLLM: they may come, and it goes on) */
	bool logprobs;
	uint32_t top_logprobs;    /* 0..20 */
	const sn_logit_bias *logit_bias; /* tokens of the vocabulary, each -100..100 */
	size_t n_logit_bias;      /* at most SN_MAX_LOGIT_BIAS */
	const char *stop[SN_MAX_STOP]; /* UTF-8, not empty; a choice's text ends before the first one */
	size_t stop_size[SN_MAX_STOP];
	size_t n_stop;
	int32_t stop_token_ids[SN_MAX_STOP_TOKENS]; /* tokens of the vocabulary that end a choice as its end token does, also under ignore_eos */
	size_t n_stop_token_ids;
	/* What an answer must be, as GBNF: see core/grammar/grammar.h. It ends only where the whole of it fits, unless max_tokens, a stop string
	 * or one of stop_token_ids comes first. Logprobs stay the model's own. Not together with mask, min_tokens, ignore_eos.
	 * NULL: anything. Errors blame grammar_name; NULL: "grammar". */
	const char *grammar;      /* [grammar_size] UTF-8 */
	size_t grammar_size;      /* bytes */
	const char *grammar_name;
	/* Where the grammar begins: behind the first time that the answer has this in it (or a token of that spelling); until then anything goes.
	 * An answer may end before that only under grammar_may_wait. NULL: at once. */
	const char *grammar_after; /* [grammar_after_size] at most 256 bytes */
	size_t grammar_after_size;
	bool grammar_may_wait;
	/* Spellings of control tokens that are part of the text here, and of what a grammar sees: such as open a call or the thinking. */
	const char *shown[SN_MAX_SHOWN];
	size_t n_shown;
	/* Under a grammar these tokens, control or not, come only where it spells them out, and there as tokens if nothing else can come. */
	bool shown_strictly;
	/* Optional token mask, asked before each sampled token: clears bits of tokens that must not be chosen.
	 * mask: [(n_vocab + 31) / 32] words, all ones on entry; tokens: what this choice has said so far. Runs on the engine
	 * thread: no lock, no I/O; the last call may come up to a step after the request's end was told or it was closed. */
	void (*mask)(void *ctx, uint32_t choice, uint32_t *mask, uint32_t n_vocab, const int32_t *tokens, size_t n_tokens);
	void *mask_ctx;
} sn_sampling;

void sn_sampling_init(sn_sampling *s); /* the defaults above */

typedef struct sn_chat {
	const char *request_id; /* printable ASCII, at most 64 bytes */
	const char *model;      /* NULL or "": the first model */
	const char *cache_key;  /* who asks (e.g. the API key's name): prefix and media caches are not shared across, and each has an even
	                         * share of a step. NULL: anonymous */
	const char *cache_salt; /* the client's own partition of its caches; narrows what cache_key shares, never widens it. NULL: none */
	const sn_message *messages;
	size_t n_messages;
	const sn_value *tools;     /* LIST of what may be called, as the template shows it; NULL: none */
	bool no_generation_prompt; /* end the prompt after the last message, without the opening of the assistant's turn */
	const sn_chat_var *vars;   /* [n_vars], at most SN_MAX_CHAT_VARS */
	size_t n_vars;
	sn_sampling sampling;
	uint32_t timeout_ms;    /* total, from submit; 0: none */
} sn_chat;

/* How a model writes calls of tools: pieces of text around names and arguments (JSON objects). White space between the tokens of
 * the pieces may be more or less.
 *   begin head  open NAME arguments {...} close  between  open NAME arguments {...} close  end */
typedef struct sn_tool_format {
	const char *name;      /* "hermes" */
	const char *begin;     /* opens the calls, anywhere in an answer; "": an answer is calls from its first byte on, or it has none */
	const char *may_begin; /* may stand before such an answer; "": nothing */
	const char *head, *open, *arguments, *close, *between, *end;
	const char *id;        /* behind a name may stand this and nine letters and digits; NULL: not */
	const char *marks[4];  /* those of all these that are tokens of their own in some vocabularies; NULL-terminated */
} sn_tool_format;

/* What a model's chat template does with more than texts. */
typedef struct sn_chat_skills {
	const sn_tool_format *tools; /* NULL: tools are not taken */
	bool many_calls;             /* in one answer */
	const char *thinks;          /* "<think>" or "[THINK]", if that stands in the template or among the tokens; NULL */
	bool thinking_switch;        /* there is a variable enable_thinking */
	bool effort_switch;          /* there is a variable reasoning_effort */
} sn_chat_skills;

/* False: there is no such model, or it does not chat. [any] */
bool sn_engine_chat_skills(const sn_engine *engine, const char *model, sn_chat_skills *out);

typedef struct sn_request sn_request;

/* Decodes the media (bounded, behind one gate), renders the template, tokenizes and queues. Everything in chat is
 * borrowed until return. On success *out must be closed. Blocks for the decode, never for the engine. Lowers the calling
 * thread's priority for good, so that compute comes first. [any] */
sn_status sn_chat_submit(sn_engine *engine, const sn_chat *chat, sn_request **out, sn_error *err);

/* A prompt as it stands, without a template. The whole of it is the client's own program, so special tokens spelled out in
 * the text are those tokens; whoever puts words of others into one has to look after that. */
typedef struct sn_completion {
	const char *request_id, *model, *cache_key, *cache_salt; /* as in sn_chat */
	const int32_t *ids;      /* [n_ids] the prompt as tokens of the vocabulary; NULL: text is */
	size_t n_ids;
	const char *text;        /* UTF-8, may hold NUL */
	size_t size;             /* bytes */
	bool add_special_tokens; /* text only: the beginning-of-sequence token first, where the vocabulary says that it adds one */
	sn_sampling sampling;
	uint32_t timeout_ms;     /* total, from submit; 0: none */
} sn_completion;

/* As sn_chat_submit; errors about the prompt blame "prompt". [any] */
sn_status sn_completion_submit(sn_engine *engine, const sn_completion *completion, sn_request **out, sn_error *err);

typedef enum sn_event_kind {
	SN_EVENT_NONE,        /* the timeout passed */
	SN_EVENT_TEXT,        /* more of one choice: choice, text, logprobs; whole UTF-8 characters only */
	SN_EVENT_CHOICE_DONE, /* one choice ended, nothing more of it comes: choice, finish, stop_token, stop_string */
	SN_EVENT_DONE,        /* last, after every choice's CHOICE_DONE: usage is set */
	SN_EVENT_ERROR        /* last, for all choices: error is set */
} sn_event_kind;

typedef enum sn_finish { SN_FINISH_STOP, SN_FINISH_LENGTH } sn_finish;

typedef struct sn_top_logprob { const char *bytes; uint32_t size; float logprob; int32_t token; } sn_top_logprob;

typedef struct sn_token_logprob {
	sn_top_logprob self;
	const sn_top_logprob *top; /* [n_top], best first */
	uint32_t n_top;
} sn_token_logprob;

typedef struct sn_usage {
	uint32_t prompt_tokens;     /* once, however many choices */
	uint32_t completion_tokens; /* of all choices, end tokens included */
	uint32_t cached_tokens;     /* prompt rows served from the prefix cache */
	uint32_t media_rows;        /* prompt rows that came from media */
	bool video_sound_ignored;   /* a clip had sound, and the model does not hear */
} sn_usage;

typedef struct sn_event {
	sn_event_kind kind;
	uint32_t choice;    /* 0..n-1 */
	const char *text;   /* valid until the next call on this request; a TEXT event may be empty if it only carries logprobs */
	size_t size;
	const sn_token_logprob *logprobs; /* the tokens that this text came from, without the one that ended it; set only if asked for */
	size_t n_logprobs;
	sn_finish finish;
	int32_t stop_token; /* the end token, or the one of stop_token_ids, that ended the choice; -1: none */
	int32_t stop_string; /* index of the stop string that ended it; -1: none */
	sn_usage usage;
	sn_error error;
} sn_event;

/* Waits up to timeout_ms for the next event. One consumer thread per request. After DONE or ERROR only close is legal. */
sn_event_kind sn_request_next(sn_request *request, int timeout_ms, sn_event *ev);
/* Asks the engine to drop it: its pages are free within one step. [any] */
void sn_request_cancel(sn_request *request);
/* Cancels if still running, and frees. Sets *request to NULL. */
void sn_request_close(sn_request **request);
/* The seed in use: given, or drawn. */
uint64_t sn_request_seed(const sn_request *request);

/* ---- embeddings --------------------------------------------------------------------------------------------- */

#define SN_MAX_EMBEDDING_INPUTS 2048
#define SN_MAX_EMBEDDING_VALUES (4u << 20) /* of all vectors of one ask */

typedef struct sn_embedding_input {
	const int32_t *ids; /* [n_ids] tokens of the vocabulary; NULL: text is */
	size_t n_ids;
	const char *text;   /* UTF-8, may hold NUL; special tokens spelled out in it are those tokens */
	size_t size;        /* bytes */
} sn_embedding_input;

/* Texts as vectors: each is a sequence of its own, a few at once, from the same pages as everything else. A vector does not depend on
 * what else is asked. */
typedef struct sn_embedding_ask {
	const char *request_id, *model, *cache_key, *cache_salt; /* as in sn_chat */
	const sn_embedding_input *inputs; /* [n_inputs], at most SN_MAX_EMBEDDING_INPUTS; borrowed until the close */
	size_t n_inputs;
	bool add_special_tokens; /* texts only: what the vocabulary puts before and behind a text, if it does */
	uint32_t dimensions;     /* the vectors' first so many values, of length 1 again; 0: all. Only of models that embed */
	uint32_t timeout_ms;     /* total, from open; 0: none */
} sn_embedding_ask;

typedef enum sn_embedding_kind {
	SN_EMBEDDING_NONE,   /* the timeout passed */
	SN_EMBEDDING_VECTOR, /* of the next input, in order */
	SN_EMBEDDING_DONE,   /* last: usage */
	SN_EMBEDDING_ERROR   /* last */
} sn_embedding_kind;

typedef struct sn_embedding_event {
	sn_embedding_kind kind;
	size_t index;
	const float *values; /* [n_values]; valid until the next call */
	size_t n_values;
	uint64_t prompt_tokens; /* DONE: of all inputs */
	sn_error error;
} sn_embedding_event;

typedef struct sn_embedding sn_embedding;

/* On success *out must be closed. Takes one place in the queue. Errors blame "input", "dimensions" or "model". [any] */
sn_status sn_embedding_open(sn_engine *engine, const sn_embedding_ask *ask, sn_embedding **out, sn_error *err);
/* Waits up to timeout_ms. One consumer thread. After DONE or ERROR only close is legal. */
sn_embedding_kind sn_embedding_next(sn_embedding *e, int timeout_ms, sn_embedding_event *ev);
/* Cancels what still runs, and frees. Sets *e to NULL. */
void sn_embedding_close(sn_embedding **e);

/* ---- transcriptions ----------------------------------------------------------------------------------------- */

/* A recording, written down by a model that was made for that (sn_model_info.transcribes): windows of it are sequences of
 * their own, several at once, from the same pages as everything else. Others are asked in a chat. */
typedef struct sn_transcription {
	const char *request_id, *model, *cache_key, *cache_salt; /* as in sn_chat */
	sn_part part;          /* MEDIA; errors about it blame "file" */
	const char *language;  /* a code that the model knows ("en"); NULL: found out from the recording's first window */
	bool translate;        /* into English */
	const char *prompt;    /* [prompt_size] words that came before, or that are likely to: every window is told; NULL: none */
	size_t prompt_size;
	float temperature;     /* 0..1. 0: greedy, and rising by 0.2 where the answer looks wrong */
	uint64_t seed;         /* of windows with a temperature */
	bool has_seed;
	bool stamps;           /* segments with times within a window; else one segment a window */
	bool words;            /* and their words' times; implies stamps */
	uint32_t timeout_ms;   /* total, from submit; 0: none */
} sn_transcription;

typedef struct sn_word {
	const char *text; /* as it stands in the segment, with its leading space */
	size_t size;
	double start, end; /* seconds */
} sn_word;

typedef struct sn_segment {
	uint32_t id;          /* 0, 1, ... in order of time */
	double start, end;    /* seconds from the recording's beginning */
	double seek;          /* where its window begins */
	const char *text;
	size_t size;
	const int32_t *tokens; /* [n_tokens], stamps included */
	size_t n_tokens;
	float temperature, avg_logprob, compression_ratio, no_speech_prob; /* of its window */
	const sn_word *words;  /* [n_words] if they were asked for */
	size_t n_words;
} sn_segment;

typedef enum sn_transcript_kind {
	SN_TRANSCRIPT_NONE,    /* the timeout passed */
	SN_TRANSCRIPT_SEGMENT, /* the next one in order of time */
	SN_TRANSCRIPT_DONE,    /* last: language, duration, usage are set */
	SN_TRANSCRIPT_ERROR    /* last */
} sn_transcript_kind;

typedef struct sn_transcript_event {
	sn_transcript_kind kind;
	sn_segment segment;   /* its pointers are valid until the next call */
	const char *language; /* DONE: the code, "" if the model knows one language only */
	double duration;      /* DONE: seconds */
	sn_usage usage;       /* DONE: of all windows, attempts that were not taken included */
	sn_error error;
} sn_transcript_event;

typedef struct sn_transcript sn_transcript;

/* Decodes the recording (bounded, behind the gate) and starts its first windows. On success *out must be closed. [any] */
sn_status sn_transcript_submit(sn_engine *engine, const sn_transcription *t, sn_transcript **out, sn_error *err);
/* Waits up to timeout_ms. One consumer thread. After DONE or ERROR only close is legal. */
sn_transcript_kind sn_transcript_next(sn_transcript *t, int timeout_ms, sn_transcript_event *ev);
/* Cancels what still runs, and frees. Sets *t to NULL. */
void sn_transcript_close(sn_transcript **t);

/* ---- speech ------------------------------------------------------------------------------------------------- */

typedef struct sn_voice_info {
	const char *name;     /* "default" first, then the model's own */
	const char *language; /* BCP 47, "" if it speaks several */
} sn_voice_info;

/* The voices of a model that speaks, and the rate of its sound in Hz; 0 for one that does not. model NULL or "": the first
 * model that speaks. The list lives as long as the engine. [any] */
size_t sn_engine_voices(const sn_engine *engine, const char *model, const sn_voice_info **out, uint32_t *rate);

/* What a model that speaks can be asked for beside a voice. */
typedef struct sn_speech_language { const char *name, *code; /* "english", BCP 47: "en" */ } sn_speech_language;
typedef struct sn_speech_skills {
	const sn_speech_language *languages; /* [n_languages]; none: the voice has its own */
	size_t n_languages;
	bool instructions; /* it follows them */
	bool reference;    /* it speaks in the voice of a recording */
} sn_speech_skills;

/* False: the model does not speak. model as in sn_engine_voices. Lives as long as the engine. [any] */
bool sn_engine_speech_skills(const sn_engine *engine, const char *model, sn_speech_skills *out);

/* Words become sound. They are cut at sentences (at clauses or words where one is longer than the model speaks well) into
 * utterances: sequences of their own, a few at once, from the same pages as everything else, whose sound is put together without
 * gaps. What is said does not depend on how the words came in, but for when an utterance is known to be whole. */
typedef struct sn_speech_ask {
	const char *request_id, *cache_key, *cache_salt; /* as in sn_chat */
	const char *model;     /* NULL or "": the first model that speaks */
	const char *voice;     /* NULL: default */
	const char *language;  /* a name or a code of sn_speech_skills.languages, in any case; NULL: found out, or the voice's own */
	const char *instructions; /* [instructions_size] UTF-8, how it is to be said; NULL: none */
	size_t instructions_size;
	const sn_part *reference; /* a recording (MEDIA) in whose voice it is to be said; NULL: none. Then there is no `voice` */
	float temperature;     /* 0..2; below 0: the model's own */
	uint64_t seed;
	bool has_seed;
	uint32_t max_seconds;  /* of sound in all; 0: as much as the words need */
	uint32_t timeout_ms;   /* total, from open; 0: none */
} sn_speech_ask;

typedef enum sn_speech_kind {
	SN_SPEECH_NONE,  /* the timeout passed */
	SN_SPEECH_SOUND, /* more of it: pcm, n_samples; in order */
	SN_SPEECH_DONE,  /* last: usage, seconds */
	SN_SPEECH_ERROR  /* last */
} sn_speech_kind;

typedef struct sn_speech_event {
	sn_speech_kind kind;
	const float *pcm;  /* [n_samples] mono, -1..1, at `rate`; valid until the next call */
	size_t n_samples;
	uint32_t rate;     /* Hz */
	sn_usage usage;    /* DONE: of all utterances; completion_tokens are those that were sampled */
	double seconds;    /* DONE: of sound */
	sn_error error;
} sn_speech_event;

typedef struct sn_speech sn_speech;

/* On success *out must be closed. Takes one place in the queue. [any] */
sn_status sn_speech_open(sn_engine *engine, const sn_speech_ask *ask, sn_speech **out, sn_error *err);
/* More words, UTF-8, in any pieces. From one thread at a time, also while another waits in sn_speech_next. SN_ERR_TOO_LARGE: more than
 * SN_MAX_SPEECH_TEXT bytes in all. */
sn_status sn_speech_say(sn_speech *s, const char *text, size_t size, sn_error *err);
/* Nothing more will be said: what is left is an utterance, and DONE comes behind its sound. */
void sn_speech_finish(sn_speech *s);
/* Waits up to timeout_ms. One consumer thread. After DONE or ERROR only close is legal. */
sn_speech_kind sn_speech_next(sn_speech *s, int timeout_ms, sn_speech_event *ev);
/* Cancels what still runs: its pages are free and its decoder stops within a step. Frees. Sets *s to NULL. */
void sn_speech_close(sn_speech **s);

#define SN_MAX_SPEECH_TEXT 65536 /* bytes */

/* ---- writing media ------------------------------------------------------------------------------------------ */

/* Sound as a file's bytes, piece by piece, by the plugin that writes this type. */
typedef struct sn_writer_config {
	const char *request_id;
	const char *media_type; /* "audio/wav", "audio/mpeg", "audio/ogg", "audio/flac", "audio/pcm" (s16le without a header) */
	uint32_t rate;          /* Hz, of what is pushed */
	float tempo;            /* 0.25..4: so much faster, at the same pitch; 0: 1 */
	bool whole;             /* nothing before finish: then the file's header tells its length, which a stream cannot know */
} sn_writer_config;

typedef struct sn_writer sn_writer;

/* SN_ERR_UNSUPPORTED: no plugin writes this type. [any] */
sn_status sn_writer_open(sn_engine *engine, const sn_writer_config *config, sn_writer **out, sn_error *err);
/* *bytes: what of the file is ready now, maybe nothing; valid until the next call. One thread. How the sound is cut into pushes changes
 * no byte. SN_ERR_TOO_LARGE: more than two hours. After an error only close is legal. */
sn_status sn_writer_push(sn_writer *w, const float *pcm, size_t n_samples, const uint8_t **bytes, size_t *size, sn_error *err);
/* The file's end. SN_ERR_INVALID: there was no sound. */
sn_status sn_writer_finish(sn_writer *w, const uint8_t **bytes, size_t *size, sn_error *err);
void sn_writer_close(sn_writer **w);

/* ---- tokens ------------------------------------------------------------------------------------------------- */

/* What sn_tokenize is asked: messages through the model's template, or a text. */
typedef struct sn_tokenize_input {
	const char *model;          /* NULL or "": the first model */
	const sn_message *messages; /* [n_messages], text only: media are refused. NULL: the text */
	size_t n_messages;
	const sn_value *tools;      /* messages: as in sn_chat */
	bool no_generation_prompt;  /* messages: as in sn_chat */
	const sn_chat_var *vars;    /* [n_vars] messages: as in sn_chat */
	size_t n_vars;
	const char *text;           /* UTF-8, may hold NUL */
	size_t size;                /* bytes */
	bool add_special;           /* text: the beginning-of-sequence token first, where the vocabulary says that it adds one */
	bool parse_special;         /* text: special tokens that are spelled out are those tokens */
} sn_tokenize_input;

typedef struct sn_tokens {
	int32_t *ids; /* [n], malloc'd: the caller's to free; NULL when n is 0 */
	size_t n;
	uint32_t max_model_len; /* of the model */
} sn_tokens;

/* The ids that a prompt of this text, or of these messages, would have. [any] */
sn_status sn_tokenize(sn_engine *engine, const sn_tokenize_input *input, sn_tokens *out, sn_error *err);
/* Ids to text, special tokens spelled out; what is not UTF-8 becomes U+FFFD. Ids outside the vocabulary are refused (param
 * "tokens"). *text: [*size], malloc'd and NUL-terminated: the caller's to free. [any] */
sn_status sn_detokenize(sn_engine *engine, const char *model, const int32_t *ids, size_t n, char **text, size_t *size, sn_error *err);

#endif
