/* clip.c - what peer_video.py, tests/api and tests/bench's figures talk to: video-codec's calls over one file, from a host of a few lines.
 *
 *   clip PLUGIN look FILE                      "width height n_frames seconds fps has_sound", then each frame's time
 *   clip PLUGIN read FILE OUT STEPS INDEX...   raw RGB frames to OUT ("-": nowhere), their times to stdout; INDEX may be FROM-TO/EVERY;
 *                                              STEPS: "-" or WIDTHxHEIGHTxFILTER,...
 *   clip PLUGIN sound FILE OUT RATE            float32 samples to OUT, "rate n" to stdout
 *   clip PLUGIN write FRAMES OUT TYPE WIDTHxHEIGHT FPS [SOUND RATE]
 *                                              raw RGB frames, and float32 samples if there are any, to a file of that type
 *
 * A refusal is told on stderr, with exit status 1. The last line on stderr is "seconds seconds KiB": of the processor, by
 * the clock, the process's peak. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <sensorium/ext/clip.h>
#include <sensorium/ext/decode.h>
#include <sensorium/ext/write.h>
#include <sensorium/host/log.h>
#include <sensorium/host/memory.h>

enum { MAX_INDICES = 1 << 20 };

static void *take(const sn_host *host, size_t n)
{
	(void)host;
	void *p = aligned_alloc(64, (n + 63) / 64 * 64);
	return p ? memset(p, 0, n) : NULL;
}

static void give(const sn_host *host, void *p)
{
	(void)host;
	free(p);
}

static void say(const sn_host *host, const sn_call *call, int32_t level, const char *topic, const char *text)
{
	(void)host, (void)call;
	if (level > SN_HOST_INFO)
		fprintf(stderr, "%s: %s\n", topic, text);
}

static const void *service(const sn_host *host, const char *id)
{
	static const sn_host_memory memory = {sizeof memory, 0, take, give};
	static const sn_host_log log = {sizeof log, 0, say};
	(void)host;
	return strcmp(id, SN_HOST_MEMORY) == 0 ? (const void *)&memory : strcmp(id, SN_HOST_LOG) == 0 ? (const void *)&log : NULL;
}

static uint8_t *read_file(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	uint8_t *p = NULL;
	*n = 0;
	if (f && fseek(f, 0, SEEK_END) == 0) {
		*n = (size_t)ftell(f);
		rewind(f);
		p = malloc(*n + 1);
		if (p && fread(p, 1, *n, f) != *n)
			*n = 0;
	}
	if (f)
		fclose(f);
	return p;
}

static void save(const char *path, const void *p, size_t n)
{
	FILE *f = strcmp(path, "-") == 0 ? NULL : fopen(path, "wb");
	if (f && (fwrite(p, 1, n, f) != n || fclose(f) != 0))
		fprintf(stderr, "%s cannot be written\n", path);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int refused(const sn_fault *fault)
{
	fprintf(stderr, "%d %s\n", fault->code, fault->text);
	return 1;
}

static int look(const sn_ext_clip *clip, void *instance, const uint8_t *bytes, size_t n)
{
	sn_fault fault = {.size = sizeof fault};
	sn_clip_info info = {.size = sizeof info};
	if (clip->look(instance, NULL, bytes, n, NULL, &info, &fault) != SN_RC_OK)
		return refused(&fault);
	double *at = calloc(info.n_frames, sizeof *at);
	if (clip->times(instance, NULL, bytes, n, NULL, at, info.n_frames, &fault) != SN_RC_OK)
		return refused(&fault);
	printf("%u %u %u %.9g %.9g %u\n", info.width, info.height, info.n_frames, info.seconds, info.fps, info.has_sound);
	for (uint32_t i = 0; i < info.n_frames; i++)
		printf("%.9g\n", at[i]);
	return 0;
}

static void parse_steps(sn_clip_wish *wish, const char *text)
{
	int used;
	sn_clip_step s = {0};
	while (wish->n_steps < SN_CLIP_MAX_STEPS && sscanf(text, "%ux%ux%u%n", &s.width, &s.height, &s.filter, &used) == 3) {
		wish->steps[wish->n_steps++] = s;
		text += used + (text[used] == ',');
	}
}

static int read_frames(const sn_ext_clip *clip, void *instance, const uint8_t *bytes, size_t n, char **argv)
{
	sn_fault fault = {.size = sizeof fault};
	sn_clip_info info = {.size = sizeof info};
	uint32_t *frames = calloc(MAX_INDICES, sizeof *frames);
	sn_clip_wish wish = {.size = sizeof wish, .frames = frames};
	sn_media m = {.size = sizeof m};
	const char *out = argv[0];
	if (clip->look(instance, NULL, bytes, n, NULL, &info, &fault) != SN_RC_OK)
		return refused(&fault);
	parse_steps(&wish, argv[1]);
	for (argv += 2; *argv; argv++) {
		unsigned from = 0, to = 0, every = 1;
		if (sscanf(*argv, "%u-%u/%u", &from, &to, &every) < 2)
			to = from;
		to = to < info.n_frames || to == from ? to : info.n_frames - 1;
		for (uint64_t i = from; i <= to && wish.n_frames < MAX_INDICES; i += every)
			frames[wish.n_frames++] = (uint32_t)i;
	}
	if (!sn_clip_shape(&info, &wish, &m))
		return 2;
	m.samples = malloc(m.bytes);
	m.timestamps = calloc(m.n_frames, sizeof *m.timestamps);
	if (clip->read(instance, NULL, bytes, n, NULL, &wish, &m, &fault) != SN_RC_OK)
		return refused(&fault);
	for (uint32_t i = 0; i < m.n_frames; i++)
		printf("%u %.9g\n", frames[i], m.timestamps[i]);
	save(out, m.samples, m.bytes);
	return 0;
}

static int sound(const sn_ext_decode *codec, void *instance, const uint8_t *bytes, size_t n, char **argv)
{
	sn_fault fault = {.size = sizeof fault};
	sn_media m = {.size = sizeof m, .rate = (uint32_t)atoi(argv[1])};
	if (codec->measure(instance, NULL, bytes, n, NULL, &m, &fault) != SN_RC_OK)
		return refused(&fault);
	m.samples = malloc(m.bytes);
	if (codec->decode(instance, NULL, bytes, n, NULL, &m, &fault) != SN_RC_OK)
		return refused(&fault);
	printf("%u %llu\n", m.rate, (unsigned long long)m.n_samples);
	save(argv[0], m.samples, m.bytes);
	return 0;
}

static int write_clip(const sn_ext_write *codec, void *instance, uint8_t *frames, size_t n, char **argv, bool heard)
{
	sn_fault fault = {.size = sizeof fault};
	sn_media m = {.size = sizeof m, .kind = SN_MEDIA_VIDEO, .samples = frames}, s = {.size = sizeof s, .kind = SN_MEDIA_AUDIO};
	sn_write_options o = {.size = sizeof o, .media_type = argv[1], .fps = atof(argv[3])};
	uint64_t cap;
	if (sscanf(argv[2], "%ux%u", &m.width, &m.height) != 2 || !m.width || !m.height)
		return 2;
	m.n_frames = (uint32_t)(n / (3ull * m.width * m.height));
	m.bytes = 3ull * m.width * m.height * m.n_frames;
	if (heard) {
		size_t bytes;
		s.samples = read_file(argv[4], &bytes);
		s.rate = (uint32_t)atoi(argv[5]);
		s.n_samples = bytes / sizeof(float);
		s.bytes = s.n_samples * sizeof(float);
		o.sound = &s;
	}
	if (codec->bound(instance, NULL, &m, &o, &cap, &fault) != SN_RC_OK)
		return refused(&fault);
	uint8_t *out = malloc(cap);
	uint64_t size;
	if (codec->write(instance, NULL, &m, &o, out, cap, &size, &fault) != SN_RC_OK)
		return refused(&fault);
	save(argv[0], out, size);
	return 0;
}

int main(int argc, char **argv)
{
	size_t n;
	sn_host host = {sizeof host, 0, service};
	sn_fault fault = {.size = sizeof fault};
	void *so = argc > 3 ? dlopen(argv[1], RTLD_NOW) : NULL;
	sn_plugin_entry_fn *entry;
	*(void **)&entry = so ? dlsym(so, "sn_plugin_entry_1") : NULL;
	uint8_t *bytes = entry ? read_file(argv[3], &n) : NULL;
	if (!bytes)
		return fprintf(stderr, "usage: see the source\n"), 2;
	const sn_plugin_list *list = entry();
	const bool heard = strcmp(argv[2], "sound") == 0;
	const sn_plugin *p = list->plugins[heard];
	void *instance = calloc(1, p->instance_size);
	if (p->init(instance, &host, &fault) != SN_RC_OK)
		return refused(&fault);
	double began = now();
	int status = 2;
	if (heard && argc == 6)
		status = sound(p->extension(SN_EXT_DECODE), instance, bytes, n, argv + 4);
	else if (strcmp(argv[2], "look") == 0)
		status = look(p->extension(SN_EXT_CLIP), instance, bytes, n);
	else if (strcmp(argv[2], "read") == 0 && argc > 6)
		status = read_frames(p->extension(SN_EXT_CLIP), instance, bytes, n, argv + 4);
	else if (strcmp(argv[2], "write") == 0 && (argc == 8 || argc == 10))
		status = write_clip(p->extension(SN_EXT_WRITE), instance, bytes, n, argv + 4, argc == 10);
	struct rusage used;
	getrusage(RUSAGE_SELF, &used);
	fprintf(stderr, "%.3f %.3f %ld\n", (double)used.ru_utime.tv_sec + 1e-6 * (double)used.ru_utime.tv_usec, now() - began, used.ru_maxrss);
	return status;
}
