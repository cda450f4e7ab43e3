/* watch.c - what peer_watch.py talks to: a file on its whole way through video-codec and siglip.
 *
 *   watch FILE OUT LONGEST SIDE N_ROWS FPS MAX_FRAMES
 *
 * To stdout "width height n_frames fps seconds", then the chosen indices in one line, then the clip's text; u8 frames to OUT. FPS and MAX_FRAMES
 * of 0: the model's own. A refusal is told on stderr. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "clip_case.h"
#include "watch_case.h"

int main(int argc, char **argv)
{
	static watched got;
	watcher w;
	FILE *f = argc == 8 ? fopen(argv[1], "rb") : NULL, *out;
	if (!f)
		return fprintf(stderr, "usage: see the source\n"), 2;
	fseek(f, 0, SEEK_END);
	size_t n = (size_t)ftell(f);
	rewind(f);
	uint8_t *bytes = malloc(n + 1);
	if (!bytes || fread(bytes, 1, n, f) != n)
		return 2;
	fclose(f);
	const uint32_t longest = (uint32_t)atoi(argv[3]), side = (uint32_t)atoi(argv[4]), n_rows = (uint32_t)atoi(argv[5]);
	const sn_watch_options o = {.size = sizeof o, .fps = atof(argv[6]), .max_frames = (uint32_t)atoi(argv[7])};
	clips_open(NULL);
	open_watcher(&w, side, n_rows, longest, 0, 0);
	watch_file(&w, bytes, n, &o, n_rows, &got);
	printf("%u %u %u %a %a\n", got.info.width, got.info.height, got.info.n_frames, got.info.fps, got.info.seconds);
	for (uint32_t i = 0; i < got.sample.n_frames; i++)
		printf("%u%c", got.frames[i], i + 1 < got.sample.n_frames ? ' ' : '\n');
	fwrite(got.text, 1, got.text_bytes, stdout);
	out = fopen(argv[2], "wb");
	if (!out || fwrite(got.media.samples, 1, got.media.bytes, out) != got.media.bytes || fclose(out) != 0)
		return 2;
	watched_drop(&got);
	close_watcher(&w);
	clips_close(NULL);
	free(bytes);
	return 0;
}
