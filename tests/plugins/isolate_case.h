/* isolate_case.h - a media gate over a folder of plugins, with codec helpers or without, and what must be left when it closes. */
#ifndef TESTS_ISOLATE_CASE_H
#define TESTS_ISOLATE_CASE_H

#include "plugin_engine.h"

#include "engine/media.h"
#include "plugin/isolate.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 }; /* takes any amount of memory, and a crash as an occasion to ask the system for this and that */
#else
enum { SANITIZED = 0 };
#endif

extern const char *const HELPER[];

typedef struct gate {
	char log_path[64];
	sn_log *log;
	int log_fd;
	pool *threads;
	plugin_host *host;
	metrics metrics;
	media_gate g;
} gate;

void gate_open(gate *t, const char *dir, bool isolated, uint32_t timeout_ms);
void gate_close(gate *t);
const char *log_text(const gate *t);
bool log_has(const gate *t, const char *words);
plugin *find(gate *t, const char *id);
/* A file of a kind through the gate. */
sn_status pass(gate *t, const char *kind, const void *bytes, size_t n, uint32_t rate, sn_media *m, sn_error *err);

/* A plugin of the zoo. */
const char *animal(const char *name);
int count_children(pid_t *one);
int count_files(void);

/* A file and a port that nobody may touch. */
typedef struct canary {
	char path[64], port[16];
	int listener;
} canary;

void canary_open(canary *c);
bool canary_touched(const canary *c);
void canary_close(canary *c);

#endif
