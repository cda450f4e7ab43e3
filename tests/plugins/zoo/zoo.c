/* zoo.c - one small plugin in many bad habits, one .so each (-DZOO=HABIT). ZOO_GOOD has none: its encoder's rows are the
 * numbers that the file holds, verbatim, so that tests can put any rows into a prompt.
 *
 *   file: "SNROWS1\n", u32 rows, u32 values of a row, u32 bytes of text, the text, floats     (little-endian)
 *   medium of kind "rows": width = values, height = rows, n_frames = bytes of text, samples = text and floats
 *
 * Habits of results show only when the first number is TRIGGER, so that one request can be bad among good ones. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <sensorium/ext/decode.h>
#include <sensorium/ext/encode.h>
#include <sensorium/ext/plan.h>
#include <sensorium/ext/transcribe.h>
#include <sensorium/ext/write.h>
#include <sensorium/host/log.h>
#include <sensorium/host/memory.h>

#include "zoo.h"

#ifndef ZOO
#error "ZOO names the habit"
#endif

#define IS(habit) (ZOO == ZOO_##habit)
#define HAS_AXES (IS(AXES) || IS(AXES_FAR) || IS(AXES_UNFILLED) || IS(AXES_FAIL))
#define IS_SOUND (IS(SOUND) || IS(SOUND_OF_ITS_RATE))

typedef struct animal {
	const sn_host *host;
	const sn_host_memory *memory;
	const sn_host_ops *ops;
	const sn_host_log *log;
	void *block;
	uint32_t row_dim, loads;
	uint64_t last_bound;
	sn_tensor stale;
} animal;

static sn_rc fail(sn_fault *fault, sn_rc code, sn_blame blame, const char *text)
{
	fault->code = code;
	fault->blame = (uint8_t)blame;
	snprintf(fault->text, sizeof fault->text, "%s", text);
	return code;
}

/* ---- codec ---- */

typedef struct head {
	uint32_t rows, values, text;
} head;

static const char *sniff(const uint8_t *bytes, size_t n)
{
	return n >= 8 && memcmp(bytes, "SNROWS1\n", 8) == 0 ? "application/x-rows" : NULL;
}

/* ---- what a decoder that was taken over might do ---- */

static void write_to(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND);
	if (fd >= 0 && write(fd, "x", 1) == 1)
		close(fd);
}

static void connect_to(const char *port)
{
	const struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0)
		close(fd);
}

static void go_wrong(const char *text)
{
	volatile uint64_t spins = 0;
	if (IS(DECODE_CRASHES) || IS(MEASURE_CRASHES))
		*(volatile int *)(uintptr_t)(8 + spins) = 1;
	if (IS(DECODE_GIVES_UP))
		abort();
	while (IS(DECODE_LOOPS))
		spins++;
	while (IS(DECODE_TAKES_MEMORY))
		memset(malloc(1 << 24), 1, 1 << 24);
	while (IS(DECODE_SHARES_MEMORY))
		memset(mmap(NULL, 1 << 24, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), 1, 1 << 24);
	if (IS(DECODE_OPENS))
		write_to(text);
	if (IS(DECODE_CONNECTS))
		connect_to(text);
	if (IS(DECODE_FORKS) && fork() == 0)
		for (;;)
			pause();
}

static sn_rc measure(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_media_limits *limits,
                     sn_media *media, sn_fault *fault)
{
	head h;
	(void)instance;
	(void)call;
	if (n < 20 || !sniff(bytes, n))
		return fail(fault, SN_RC_INVALID, SN_BLAME_INPUT, "not a file of rows");
	memcpy(&h, bytes + 8, sizeof h);
	if (h.rows == 0 || h.rows > 4096 || h.values == 0 || h.values > 8192 || h.text > 200)
		return fail(fault, SN_RC_TOO_LARGE, SN_BLAME_INPUT, "too many rows");
	uint64_t size = h.text + (uint64_t)h.rows * h.values * sizeof(float);
	if (!IS(READS_PAST) && size != n - 20)
		return fail(fault, SN_RC_INVALID, SN_BLAME_INPUT, "the file has another size than it says");
	if (!IS(NO_LIMITS) && ((limits->max_width && h.values > limits->max_width) || (limits->max_height && h.rows > limits->max_height) ||
	                       (limits->max_frames && h.text > limits->max_frames) ||
	                       (limits->max_bytes && size > limits->max_bytes) || (limits->max_pixels && (uint64_t)h.rows * h.values > limits->max_pixels)))
		return fail(fault, SN_RC_TOO_LARGE, SN_BLAME_INPUT, "over a limit");
	float first;
	memcpy(&first, bytes + 20 + h.text, n >= 24 + h.text ? sizeof first : 0);
	bool bad = n >= 24 + h.text && first == ZOO_TRIGGER;
	if (bad && IS(MEASURE_CRASHES))
		go_wrong(NULL);
	if (bad && IS(MEASURE_FAILS))
		return fail(fault, SN_RC_INTERNAL, SN_BLAME_PLUGIN, "measure always fails");
	if (IS_SOUND) {
		uint32_t rate = media->rate && IS(SOUND) ? media->rate : 8000;
		uint64_t samples = (uint64_t)h.rows * h.values;
		if (limits->max_samples && samples > limits->max_samples)
			return fail(fault, SN_RC_TOO_LARGE, SN_BLAME_INPUT, "over a limit");
		*media = (sn_media){.size = media->size, .kind = SN_MEDIA_AUDIO, .rate = rate, .n_samples = samples, .bytes = samples * sizeof(float)};
		return SN_RC_OK;
	}
	media->kind = SN_MEDIA_DATA;
	media->width = h.values;
	media->height = h.rows;
	media->n_frames = h.text ? h.text : 1;
	media->bytes = bad && IS(NO_SAMPLES) ? 0 : size;
	if (bad && IS(WRONG_KIND)) {
		media->kind = SN_MEDIA_IMAGE;
		media->width = media->height = 10000;
	}
	return SN_RC_OK;
}

static sn_rc decode(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_media_limits *limits,
                    sn_media *media, sn_fault *fault)
{
	const animal *a = instance;
	(void)limits;
	if (IS_SOUND) {
		memcpy(media->samples, bytes + n - media->bytes, media->bytes);
		return SN_RC_OK;
	}
	float first;
	memcpy(&first, bytes + 20 + (n > 24 ? media->n_frames : 0), sizeof first);
	bool bad = first == ZOO_TRIGGER;
	if (bad && ZOO >= ZOO_DECODE_CRASHES && ZOO < ZOO_MEASURE_CRASHES) {
		char text[201] = "";
		memcpy(text, bytes + 20, media->n_frames);
		if (a->log)
			a->log->write(a->host, call, SN_HOST_WARN, "zoo", "it goes\nwrong");
		go_wrong(text);
	}
	if (bad && IS(DECODE_FAILS))
		return fail(fault, SN_RC_INTERNAL, SN_BLAME_PLUGIN, "\x1b[31m decode fails at 0x7ffd\xff");
	if (bad && IS(DECODE_ODD_CODE))
		return 77;
	memcpy(media->samples, bytes + 20, media->bytes - (IS(SHORT_SAMPLES) ? 4 : 0));
	if (IS(WRITES_PAST))
		((char *)media->samples)[media->bytes] = 1;
	if (bad && IS(DECODE_RESHAPES))
		media->height *= 1000;
	return SN_RC_OK;
}

/* ---- writer: the file that the codec reads ---- */

enum { HEAD = 20 };

static sn_rc check_rows(const sn_media *m, const sn_write_options *options, uint32_t *text, sn_fault *fault)
{
	uint64_t rows = (uint64_t)m->width * m->height * sizeof(float);
	*text = (uint32_t)(m->bytes - rows);
	if (!IS(FILE_OF_ANY_TYPE) && strcmp(options->media_type, "application/x-rows") != 0)
		return fail(fault, SN_RC_UNSUPPORTED, SN_BLAME_INPUT, "files of this type are not written");
	if (!IS(FILE_OF_ANY_MEDIA) && (m->kind != SN_MEDIA_DATA || m->width == 0 || m->height == 0 || m->bytes < rows || m->bytes - rows > 200))
		return fail(fault, SN_RC_INVALID, SN_BLAME_INPUT, "not rows");
	return SN_RC_OK;
}

static sn_rc bound(void *instance, const sn_call *call, const sn_media *media, const sn_write_options *options, uint64_t *bytes,
                   sn_fault *fault)
{
	animal *a = instance;
	uint32_t text;
	(void)call;
	sn_rc rc = check_rows(media, options, &text, fault);
	*bytes = a->last_bound = rc == SN_RC_OK ? HEAD + media->bytes + 100 * !IS(FILE_BOUND_TOO_LOW) - 1 : 0;
	return rc;
}

static sn_rc write_rows(void *instance, const sn_call *call, const sn_media *media, const sn_write_options *options, uint8_t *out,
                        uint64_t capacity, uint64_t *n, sn_fault *fault)
{
	animal *a = instance;
	uint32_t text;
	(void)call;
	sn_rc rc = check_rows(media, options, &text, fault);
	*n = 0;
	if (rc == SN_RC_OK && !media->samples && !IS(FILE_OF_ANY_MEDIA))
		rc = fail(fault, SN_RC_INVALID, SN_BLAME_INPUT, "no samples");
	if (rc != SN_RC_OK)
		return rc;
	uint64_t size = HEAD + media->bytes;
	if (IS(FILE_NEEDS_ITS_BOUND) && !a->last_bound)
		return fail(fault, SN_RC_INVALID, SN_BLAME_INPUT, "bound was not asked");
	if (size > capacity && !IS(FILE_BESIDE_ROOM)) {
		if (!IS(FILE_NEVER_TOO_LARGE))
			return fail(fault, SN_RC_TOO_LARGE, SN_BLAME_INPUT, "the file is larger than allowed");
		*n = capacity;
		return SN_RC_OK;
	}
	const head h = {media->height, media->width, text};
	char *file = malloc(size); /* a file is made whole before it is shown, so that memory has to be asked for */
	if (!file && !IS(CRASHES_WITHOUT_MALLOC))
		return fail(fault, IS(BLAMES_INPUT_WITHOUT_MALLOC) ? SN_RC_INVALID : SN_RC_NOMEM, SN_BLAME_RESOURCE, "no memory");
	char *second = malloc(64);
	if (!second) {
		if (!IS(LEAKS_WITHOUT_MALLOC))
			free(file);
		return fail(fault, SN_RC_NOMEM, SN_BLAME_RESOURCE, "no memory");
	}
	memcpy(file, IS(FILE_UNREADABLE) ? "SNROWS0\n" : "SNROWS1\n", 8);
	memcpy(file + 8, &h, sizeof h);
	memcpy(file + HEAD, media->samples, media->bytes);
	if (IS(FILE_OF_ITS_TIME))
		file[HEAD + text] += (char)a->loads++;
	if (IS(FILE_OF_OTHER_ROWS))
		file[size - 1] ^= 1;
	if (IS(FILE_SPOILS_MEDIA))
		*(char *)media->samples = 0;
	memcpy(out, file, size);
	if (IS(FILE_BEFORE_ROOM))
		out[-1] = 0;
	free(second);
	free(file);
	*n = size;
	return SN_RC_OK;
}

/* ---- plan ---- */

static const char *marker(const void *instance)
{
	(void)instance;
	return IS(NO_MARKER) ? "" : "<|rows|>";
}

static const char *row_token(const void *instance)
{
	(void)instance;
	return IS(UNKNOWN_TOKEN) ? "<|no such token|>" : "";
}

static uint32_t row_dim(const void *instance)
{
	return ((const animal *)instance)->row_dim + IS(WRONG_WIDTH);
}

static bool is_bad(const sn_media *media)
{
	float first = 0;
	if (media->samples && media->bytes >= media->n_frames + sizeof first)
		memcpy(&first, (const char *)media->samples + media->n_frames, sizeof first);
	return first == ZOO_TRIGGER;
}

typedef struct job {
	uint32_t next, n_rows, dim;
	bool bad;
	sn_tensor t;
} job;

static sn_rc plan(const void *instance, const sn_call *call, const sn_media *media, sn_media_plan *out, sn_fault *fault)
{
	const animal *a = instance;
	(void)call;
	if (media->width != a->row_dim)
		return fail(fault, SN_RC_INVALID, SN_BLAME_INPUT, "rows of another width than the model's");
	bool bad = is_bad(media);
	if (bad && IS(PLAN_FAILS))
		return fail(fault, SN_RC_INTERNAL, SN_BLAME_PLUGIN, "plan fails");
	out->n_rows = bad && IS(NO_ROWS) ? 0 : media->height;
	out->n_holes = bad && IS(MANY_HOLES) ? UINT32_MAX : 1;
	out->text_size = bad && IS(HUGE_TEXT) ? UINT32_MAX : media->n_frames;
	out->n_units = media->height;
	out->state_bytes = sizeof(job) + media->bytes;
	return SN_RC_OK;
}

static sn_rc layout(const void *instance, const sn_call *call, const sn_media *media, const sn_media_plan *p, char *text,
                    sn_hole *holes, sn_fault *fault)
{
	(void)instance;
	(void)call;
	bool bad = is_bad(media);
	if (bad && IS(LAYOUT_FAILS))
		return fail(fault, SN_RC_INTERNAL, SN_BLAME_PLUGIN, "layout fails");
	memcpy(text, media->samples, p->text_size);
	holes[0] = (sn_hole){p->text_size, p->n_rows + (bad && IS(HOLES_DO_NOT_ADD_UP))};
	if (p->text_size > 1) { /* the last byte stands behind the rows */
		holes[0].text_offset--;
	}
	if (bad && IS(HOLE_OUTSIDE))
		holes[0].text_offset = p->text_size + 1;
	return SN_RC_OK;
}

/* Row after row of a grid, all at one time. */
static sn_rc positions(const void *instance, const sn_call *call, const sn_media *media, const sn_media_plan *p, sn_position *rows, sn_fault *fault)
{
	(void)instance;
	(void)call;
	(void)media;
	if (IS(AXES_FAIL))
		return fail(fault, SN_RC_INTERNAL, SN_BLAME_PLUGIN, "positions fail");
	for (uint32_t i = 0; i < p->n_rows - IS(AXES_UNFILLED); i++)
		rows[i] = (sn_position){0, i / ZOO_WIDE, i % ZOO_WIDE};
	if (IS(AXES_FAR))
		rows[p->n_rows - 1].width = (1u << 20) + 1;
	return SN_RC_OK;
}

/* ---- encode ---- */

static sn_rc begin(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, const sn_media *media,
                   const sn_media_plan *p, sn_fault *fault)
{
	const animal *a = instance;
	job *j = state;
	(void)call;
	*j = (job){.n_rows = p->n_rows, .dim = a->row_dim, .bad = is_bad(media)};
	if (j->bad && IS(BEGIN_FAILS))
		return fail(fault, SN_RC_INTERNAL, SN_BLAME_PLUGIN, "begin fails");
	sn_rc rc = a->ops->alloc(ctx, j->n_rows, j->dim, &j->t, fault);
	if (rc != SN_RC_OK) {
		if (IS(CRASHES_WITHOUT_MEMORY))
			*(volatile int *)j->t.data = 1;
		return rc;
	}
	float *rows = malloc(media->bytes);
	if (!rows)
		return fail(fault, SN_RC_NOMEM, SN_BLAME_RESOURCE, "no memory");
	memcpy(rows, (const char *)media->samples + media->n_frames, media->bytes - media->n_frames);
	rc = a->ops->write(ctx, &j->t, rows, fault);
	free(rows);
	return rc;
}

static sn_rc step(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, uint32_t max_units, uint32_t *units_done,
                  float *rows, sn_fault *fault)
{
	animal *a = instance;
	job *j = state;
	(void)call;
	*units_done = 0;
	if (j->bad && IS(STEP_FAILS))
		return fail(fault, SN_RC_INTERNAL, SN_BLAME_PLUGIN, "step fails");
	if (j->bad && IS(STEP_ODD_CODE))
		return -99;
	if (j->bad && IS(NO_PROGRESS))
		return SN_RC_AGAIN;
	if (j->bad && IS(NEVER_ENDS)) {
		*units_done = 1;
		return SN_RC_AGAIN;
	}
	if (j->bad && IS(HANGS))
		for (volatile uint64_t i = 0;; i++) {
		}
	if (IS(ALLOCATES_IN_STEP))
		a->memory->free(a->host, a->memory->alloc(a->host, 64));
	if (IS(MALLOCS_IN_STEP))
		memset(strcpy(malloc(64), "scratch"), 0, 64);
	if (IS(WRITES_HANDLES))
		*(volatile float *)j->t.data = 1;
	if (IS(READS_HANDLES) && *(volatile float *)j->t.data > 1e30f)
		j->next = 0;
	uint32_t n = j->n_rows - j->next < max_units ? j->n_rows - j->next : max_units;
	j->next += n;
	*units_done = n;
	if (j->next < j->n_rows)
		return SN_RC_AGAIN;
	sn_tensor t = j->t;
	if (j->bad && IS(SHORT_ROWS))
		t = a->ops->rows(&t, 0, j->n_rows - 1);
	sn_rc rc = a->ops->read(ctx, &t, rows, fault);
	if (j->bad && IS(NAN_ROWS))
		rows[0] = NAN;
	if (j->bad && IS(INF_ROWS))
		rows[j->dim] = INFINITY;
	if (IS(REACHES_OUTSIDE)) {
		t.shape[0]++;
		rc = a->ops->read(ctx, &t, rows, fault);
	}
	if (IS(USES_STALE_TENSORS)) { /* the first job's tensor, for all of them */
		if (!a->loads++)
			a->stale = j->t;
		rc = a->ops->read(ctx, &a->stale, rows, fault);
	}
	if (IS(COUNTS_CALLS))
		rows[0] += (float)a->loads++;
	return rc == SN_RC_OK ? SN_RC_END : rc;
}

static void end(void *instance, void *state)
{
	const animal *a = instance;
	(void)state;
	if (a->log)
		a->log->write(a->host, NULL, SN_HOST_INFO, "zoo", "end");
}

/* ---- life cycle ---- */

#if ZOO == ZOO_ALLOCATES_EVERY_WAY /* and is a good animal */
typedef void *alloc_fn(size_t n);
static alloc_fn *volatile const TABLE[] = {malloc}; /* an address that the loader fills into data */

static sn_rc every_way(sn_fault *fault)
{
	void *p[8] = {TABLE[0](10), malloc(10), calloc(2, 5), aligned_alloc(64, 64), strdup("rows"), strndup("rows", 2), NULL, realloc(NULL, 10)};
	if (posix_memalign(&p[6], 64, 10) != 0)
		p[6] = NULL;
	void *grown = p[1] ? realloc(p[1], 1000) : NULL;
	p[1] = grown ? grown : p[1];
	bool all = grown != NULL;
	for (size_t i = 0; i < 8; i++) {
		all = all && p[i];
		free(p[i]);
	}
	return all ? SN_RC_OK : fail(fault, SN_RC_NOMEM, SN_BLAME_RESOURCE, "no memory");
}
#endif

static int32_t probe(const sn_host *host, const sn_model *model)
{
	const sn_host_weights *weights = host->service(host, SN_HOST_WEIGHTS);
	void *copy = IS(ALLOCATES_EVERY_WAY) ? malloc(64) : NULL;
	if (IS(ALLOCATES_EVERY_WAY) && !copy)
		return 0;
	free(copy);
	const char *architecture = weights->get_str(model, "general.architecture");
	return architecture && (strcmp(architecture, "llama") == 0 || strcmp(architecture, "qwen3vl") == 0) ? 10 : 0;
}

static sn_rc init(void *instance, const sn_host *host, sn_fault *fault)
{
	animal *a = instance;
	a->host = host;
	a->memory = host->service(host, SN_HOST_MEMORY);
	a->ops = host->service(host, SN_HOST_OPS);
	a->log = host->service(host, SN_HOST_LOG);
	return IS(INIT_FAILS) ? fail(fault, SN_RC_INTERNAL, SN_BLAME_PLUGIN, "init fails") : SN_RC_OK;
}

static sn_rc load(void *instance, const sn_model *model, sn_fault *fault)
{
	animal *a = instance;
	const sn_host_weights *weights = a->host->service(a->host, SN_HOST_WEIGHTS);
#if ZOO == ZOO_ALLOCATES_EVERY_WAY
	if (every_way(fault) != SN_RC_OK)
		return SN_RC_NOMEM;
#endif
	if (IS(LOAD_FAILS))
		return fail(fault, SN_RC_INTERNAL, SN_BLAME_PLUGIN, "load fails");
	if (IS(CRASHES_AT_SECOND_LOAD) && a->loads++)
		*(volatile int *)NULL = 1;
	if (a->block && !IS(LEAKS))
		a->memory->free(a->host, a->block);
	a->block = a->memory->alloc(a->host, model && IS(HOLDS_MUCH) ? ZOO_MUCH : 1000);
	if (IS(CRASHES_WITHOUT_MEMORY))
		memset(a->block, 0, 1000);
	if (!a->block)
		return fail(fault, SN_RC_NOMEM, SN_BLAME_RESOURCE, "no memory");
	if (model && IS(SLOW_LOAD))
		nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 500000000}, NULL);
	if (model)
		if (!weights->get_u32(model, "llama.embedding_length", &a->row_dim))
			weights->get_u32(model, "qwen3vl.embedding_length", &a->row_dim);
	return SN_RC_OK;
}

static void fini(void *instance)
{
	animal *a = instance;
	if (!IS(LEAKS) && a->memory)
		a->memory->free(a->host, a->block);
	if (a->log)
		a->log->write(a->host, NULL, SN_HOST_INFO, "zoo", "fini");
}

static const sn_ext_decode DECODE = {
    .size = IS(SMALL_VTABLE) ? 16 : sizeof DECODE, .kind = IS_SOUND ? SN_MEDIA_AUDIO : SN_MEDIA_DATA,
    .kind_name = IS(BAD_KIND) ? "Rows!" : IS_SOUND ? "sound" : "rows",
    .media_types = "application/x-rows", .sniff = sniff, .measure = measure, .decode = IS(NO_DECODE) ? NULL : decode};
static const sn_ext_plan PLAN = {.size = sizeof PLAN, .kind = SN_MEDIA_DATA, .kind_name = "rows", .marker = marker, .row_token = row_token,
                                 .row_dim = row_dim, .plan = plan, .layout = layout, .positions = HAS_AXES ? positions : NULL};
static const sn_ext_encode ENCODE = {.size = sizeof ENCODE, .begin = begin, .step = step, .end = end};

static const sn_transcriber *describe(const void *instance)
{
	(void)instance;
	return NULL;
}

static uint64_t cut(const void *instance, const sn_media *media, uint64_t first)
{
	(void)instance, (void)first;
	return media->n_samples;
}

static const sn_ext_transcribe TRANSCRIBE = {.size = IS(SMALL_TRANSCRIBE) ? 16 : sizeof TRANSCRIBE, .describe = describe,
                                             .cut = IS(NO_CUT) ? NULL : cut};

static const sn_ext_write WRITE = {.size = sizeof WRITE, .kind = SN_MEDIA_DATA, .kind_name = "rows", .media_types = "application/x-rows",
                                   .bound = bound, .write = write_rows};

static const void *codec_extension(const char *id)
{
	if (IS(TRANSCRIBES_ALONE) && strcmp(id, SN_EXT_TRANSCRIBE) == 0)
		return &TRANSCRIBE;
	return strcmp(id, SN_EXT_DECODE) == 0 ? (const void *)&DECODE : strcmp(id, SN_EXT_WRITE) == 0 ? &WRITE : NULL;
}

static const void *encoder_extension(const char *id)
{
	if ((IS(SMALL_TRANSCRIBE) || IS(NO_CUT)) && strcmp(id, SN_EXT_TRANSCRIBE) == 0)
		return &TRANSCRIBE;
	return strcmp(id, SN_EXT_PLAN) == 0 ? (const void *)&PLAN : strcmp(id, SN_EXT_ENCODE) == 0 && !IS(PLAN_ALONE) ? &ENCODE : NULL;
}

static const sn_plugin CODEC = {
    .size = sizeof CODEC, .instance_size = IS(HUGE_INSTANCE) ? UINT32_MAX : sizeof(animal), .id = IS(BAD_ID) ? "Rows Codec" : "rows-codec",
    .version = "1.0.0", .license = "MIT", .summary = "rows as they are", .init = IS(NO_INIT) ? NULL : init, .load = load, .fini = fini,
    .extension = codec_extension, .extensions = SN_EXT_DECODE " " SN_EXT_WRITE};
static const sn_plugin ENCODER = {
    .size = sizeof ENCODER, .instance_size = sizeof(animal), .id = IS(SAME_ID) ? "rows-codec" : "rows-encoder", .version = "1.0.0",
    .license = "MIT", .summary = "rows as they are", .probe = probe, .init = init, .load = load, .fini = fini,
    .extension = encoder_extension, .extensions = SN_EXT_PLAN " " SN_EXT_ENCODE};

static const sn_plugin *const PLUGINS[] = {&CODEC, IS(NULL_DESCRIPTOR) ? NULL : &ENCODER};

#define WRONG(habit) (IS(habit) ? 1 : 0)
static const sn_plugin_list LIST = {
    .stamp = {.magic = {'S', 'N', 'P', 'L', 'U', 'G', '1' + 8 * WRONG(STAMP_MAGIC)},
              .size = sizeof(sn_stamp) + WRONG(STAMP_SIZE),
              .abi_major = SN_ABI_MAJOR + WRONG(STAMP_MAJOR),
              .abi_minor = SN_ABI_MINOR + WRONG(STAMP_MINOR),
              .sizeof_plugin = sizeof(sn_plugin) + WRONG(STAMP_PLUGIN),
              .sizeof_fault = sizeof(sn_fault) + WRONG(STAMP_FAULT),
              .sizeof_host = sizeof(sn_host) + WRONG(STAMP_HOST),
              .sizeof_pointer = sizeof(void *) + WRONG(STAMP_POINTER),
              .big_endian = WRONG(STAMP_ENDIAN)},
    .n_plugins = IS(EMPTY_LIST) ? 0 : 2,
    .plugins = IS(NO_LIST) ? NULL : PLUGINS};

#if ZOO == ZOO_UNRESOLVED
extern int no_such_function_anywhere(void);
#endif

#if ZOO == ZOO_NO_ENTRY
SN_EXPORT const sn_plugin_list *another_entry(void);
SN_EXPORT const sn_plugin_list *another_entry(void)
#else
SN_EXPORT const sn_plugin_list *sn_plugin_entry_1(void)
#endif
{
#if ZOO == ZOO_UNRESOLVED
	if (no_such_function_anywhere())
		return NULL;
#endif
	return IS(NULL_ENTRY) ? NULL : &LIST;
}
