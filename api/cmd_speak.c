/* cmd_speak.c - `sensorium speak [MODEL] TEXT -o FILE`: words into a sound file, in this process. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "narrator.h"

#define MAX_MEDIA_BYTES (32u << 20)

/* The whole of it, since a file's header tells its length; so nothing is left behind where it fails. */
static int narrate(narrator *n, const char *path, sn_log *log)
{
	narrator_event ev = {.kind = NARRATOR_NONE};
	while (ev.kind != NARRATOR_DONE && ev.kind != NARRATOR_ERROR)
		narrator_next(n, 1000, &ev);
	if (ev.kind == NARRATOR_ERROR || ev.seconds == 0) {
		sn_log_write(log, SN_LOG_ERROR, "speak", NULL, "%s", ev.kind == NARRATOR_ERROR ? ev.error.text : "nothing in the text can be spoken");
		return EXIT_FAILED;
	}
	FILE *f = fopen(path, "wbe");
	bool written = f && fwrite(ev.bytes, 1, ev.size, f) == ev.size;
	if (f && fclose(f) != 0)
		written = false;
	if (!written) {
		sn_log_write(log, SN_LOG_ERROR, "speak", NULL, "-o: %s", strerror(errno));
		return EXIT_FAILED;
	}
	sn_log_write(log, SN_LOG_INFO, "speak", NULL, "%.2f s of sound, %zu bytes", ev.seconds, ev.size);
	return EXIT_FINE;
}

static int say(sn_engine *engine, const options *o, const sound_format *format, sn_log *log)
{
	narrator *n = NULL;
	sn_error err;
	size_t size = 0;
	char *recording = o->reference ? file_read(o->reference, MAX_MEDIA_BYTES, &size) : NULL;
	if (o->reference && !recording) {
		sn_log_write(log, SN_LOG_ERROR, "speak", NULL, "--reference: %s", strerror(errno));
		return EXIT_USAGE;
	}
	const sn_part part = {.kind = SN_PART_MEDIA, .kind_name = "audio", .data = recording, .size = size};
	const narrator_ask ask = {.request_id = "speak", .voice = o->voice, .language = o->language, .instructions = o->instructions,
	                          .instructions_size = o->instructions ? strlen(o->instructions) : 0, .reference = recording ? &part : NULL,
	                          .format = format, .tempo = (float)o->speed, .temperature = (float)o->speech_temperature, .seed = o->seed, .has_seed = o->has_seed, .whole = true};
	int rc = narrator_open(&n, engine, &ask, &err);
	free(recording);
	if (rc == SN_OK)
		rc = narrator_say(n, o->question, strlen(o->question), &err);
	if (rc != SN_OK) {
		sn_log_write(log, SN_LOG_ERROR, "speak", NULL, "%s", err.text);
		rc = EXIT_FAILED;
	} else {
		narrator_finish(n);
		rc = narrate(n, o->output, log);
	}
	narrator_close(&n);
	return rc;
}

int cmd_speak(const options *o, sn_log *log)
{
	model_files files;
	sn_engine *engine = NULL;
	const sound_format *format = o->output ? sound_format_of_file(o->output) : NULL;
	if (!format) {
		sn_log_write(log, SN_LOG_ERROR, "start", NULL, "-o: needs a file's name that ends in .wav, .flac, .mp3, .opus, .ogg or .pcm");
		return EXIT_USAGE;
	}
	int rc = model_files_from(&files, o, log);
	if (rc == EXIT_FINE)
		rc = engine_open_from(&engine, o, false, log);
	if (rc == EXIT_FINE)
		rc = engine_load_from(engine, &files, o, log);
	if (rc == EXIT_FINE)
		rc = say(engine, o, format, log);
	if (engine)
		sn_engine_close(&engine);
	model_files_fini(&files);
	return rc;
}
