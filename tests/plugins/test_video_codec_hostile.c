/* video-codec on files that mean harm: cut, damaged, larger than they are, pointing elsewhere. Each is refused or read whole, within memory,
 * and nothing but the bytes is ever opened: a canary file and a canary port stay untouched. */
#define _GNU_SOURCE /* memmem */
#include <arpa/inet.h>
#include <errno.h>
#include <iconv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "clip_case.h"

static const char *const TYPES[] = {"video/mp4", "video/webm"};
enum { HOW_MUCH_KIB = 64 << 10 };

static sn_rc refusal(const byte_buf *b, const char *word)
{
	sn_clip_info info;
	sn_fault fault;
	sn_rc rc = look_at(b->p, b->n, &CLIP_LIMITS, &info, &fault);
	if (rc != SN_RC_OK && !strstr(fault.text, word))
		fail_msg("\"%s\" does not say \"%s\"", fault.text, word);
	return rc;
}

/* ---- damage ---- */

static void what_was_cut_is_refused(void **state)
{
	(void)state;
	for (size_t t = 0; t < 2; t++) {
		byte_buf b = make_clip(TYPES[t], 64, 48, 60, 25, NULL, 2);
		for (size_t k = 0; k < 16; k++)
			assert_int_not_equal(try_all(b.p, b.n * k / 16), SN_RC_OK);
		for (size_t n = b.n - 20; n < b.n; n++)
			assert_int_not_equal(try_all(b.p, n), SN_RC_OK);
		for (size_t n = 0; n < 200; n++)
			assert_int_not_equal(try_all(b.p, n), SN_RC_OK);
		assert_int_equal(try_all(b.p, b.n), SN_RC_OK);
		drop(&b);
	}
}

static void damage_is_refused_or_read_whole(void **state)
{
	(void)state;
	uint32_t seed = 11;
	long before = peak_kib();
	for (size_t t = 0; t < 2; t++) {
		byte_buf b = make_clip(TYPES[t], 64, 48, 40, 25, NULL, 1);
		uint8_t *copy = malloc(b.n);
		uint8_t *moov = memmem(b.p, b.n, "moov", 4);
		size_t head = moov ? (size_t)(moov - b.p) : 0;
		for (int round = 0; round < 200; round++) {
			memcpy(copy, b.p, b.n);
			for (int hits = 1 + round % 4; hits; hits--) {
				seed = seed * 1664525 + 1013904223;
				size_t at = (seed >> 8) % (round % 2 ? b.n : head ? b.n - head : 400) + (round % 2 ? 0 : head);
				copy[at] = (uint8_t)(seed >> 3);
			}
			sn_rc rc = try_all(copy, b.n);
			assert_true(rc == SN_RC_OK || rc == SN_RC_INVALID || rc == SN_RC_UNSUPPORTED || rc == SN_RC_TOO_LARGE);
		}
		free(copy);
		drop(&b);
	}
#ifndef __SANITIZE_ADDRESS__ /* it keeps what was freed */
	assert_true(peak_kib() - before < HOW_MUCH_KIB);
#else
	(void)before;
#endif
}

/* ---- boxes ---- */

static size_t box_open(byte_buf *b, const char *type)
{
	add_be32(b, 0);
	add(b, type, 4);
	return b->n - 8;
}

static void box_close(byte_buf *b, size_t at)
{
	uint32_t n = (uint32_t)(b->n - at);
	for (int i = 0; i < 4; i++)
		b->p[at + (size_t)i] = (uint8_t)(n >> (24 - 8 * i));
}

static void words(byte_buf *b, const uint32_t *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add_be32(b, w[i]);
}

#define WORDS(b, ...) words(b, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4)

typedef struct lie {
	const char *handler, *entry; /* "vide", "avc1" */
	uint32_t n_samples, stts, ctts, chunks, per_chunk, edits;
	const char *url;             /* of dref, NULL: this file */
	uint32_t tracks, trun;
} lie;

/* A file of tracks whose tables say what the lie says, in as few bytes as can be. */
static byte_buf lying_mp4(const lie *l)
{
	byte_buf b = {0};
	size_t ftyp = box_open(&b, "ftyp");
	add(&b, "isom\0\0\0\0isom", 12);
	box_close(&b, ftyp);
	size_t moov = box_open(&b, "moov"), mvhd = box_open(&b, "mvhd");
	WORDS(&b, 0, 0, 0, 1000, 1000, 0x10000, 0x1000000, 0, 0, 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000, 0, 0, 0, 0, 0, 0, 2);
	box_close(&b, mvhd);
	for (uint32_t k = 0; k < (l->tracks ? l->tracks : 1); k++) {
		size_t trak = box_open(&b, "trak"), tkhd = box_open(&b, "tkhd");
		WORDS(&b, 7, 0, 0, k + 1, 0, 1000, 0, 0, 0, 0, 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000, 64 << 16, 48 << 16);
		box_close(&b, tkhd);
		if (l->edits) {
			size_t edts = box_open(&b, "edts"), elst = box_open(&b, "elst");
			WORDS(&b, 0, l->edits);
			for (uint32_t i = 0; i < l->edits; i++)
				WORDS(&b, 1000, 0, 0x10000);
			box_close(&b, elst);
			box_close(&b, edts);
		}
		size_t mdia = box_open(&b, "mdia"), mdhd = box_open(&b, "mdhd");
		WORDS(&b, 0, 0, 0, 1000, 1000, 0);
		box_close(&b, mdhd);
		size_t hdlr = box_open(&b, "hdlr");
		WORDS(&b, 0, 0);
		add(&b, l->handler, 4);
		WORDS(&b, 0, 0, 0, 0);
		box_close(&b, hdlr);
		size_t minf = box_open(&b, "minf"), dinf = box_open(&b, "dinf"), dref = box_open(&b, "dref");
		WORDS(&b, 0, 1);
		size_t url = box_open(&b, l->url && strncmp(l->url, "alis", 4) == 0 ? "alis" : "url ");
		WORDS(&b, l->url ? 0 : 1);
		if (l->url)
			add(&b, l->url, strlen(l->url) + 1);
		box_close(&b, url);
		box_close(&b, dref);
		box_close(&b, dinf);
		size_t stbl = box_open(&b, "stbl"), stsd = box_open(&b, "stsd");
		WORDS(&b, 0, 1);
		size_t entry = box_open(&b, l->entry);
		WORDS(&b, 0, 1, 0, 0, 0, 0, 64 << 16 | 48, 0x480000, 0x480000, 0, 1 << 16);
		for (int i = 0; i < 8; i++)
			WORDS(&b, i == 7 ? 0x18FFFF : 0);
		box_close(&b, entry);
		box_close(&b, stsd);
		size_t t = box_open(&b, "stts");
		WORDS(&b, 0, 1, l->stts, strcmp(l->handler, "soun") ? 40 : 1);
		box_close(&b, t);
		if (l->ctts) {
			t = box_open(&b, "ctts");
			WORDS(&b, 0, 1, l->ctts, 0);
			box_close(&b, t);
		}
		t = box_open(&b, "stsc");
		WORDS(&b, 0, 1, 1, l->per_chunk, 1);
		box_close(&b, t);
		t = box_open(&b, "stsz");
		WORDS(&b, 0, 4, l->n_samples);
		box_close(&b, t);
		t = box_open(&b, "stco");
		WORDS(&b, 0, l->chunks);
		for (uint32_t i = 0; i < l->chunks && i < 64; i++)
			WORDS(&b, 40);
		box_close(&b, t);
		box_close(&b, stbl);
		box_close(&b, minf);
		box_close(&b, mdia);
		box_close(&b, trak);
	}
	if (l->trun) {
		size_t mvex = box_open(&b, "mvex"), trex = box_open(&b, "trex");
		WORDS(&b, 0, 1, 1, 40, 4, 0);
		box_close(&b, trex);
		box_close(&b, mvex);
	}
	box_close(&b, moov);
	if (l->trun) {
		size_t moof = box_open(&b, "moof"), mfhd = box_open(&b, "mfhd");
		WORDS(&b, 0, 1);
		box_close(&b, mfhd);
		size_t traf = box_open(&b, "traf"), tfhd = box_open(&b, "tfhd");
		WORDS(&b, 0, 1);
		box_close(&b, tfhd);
		size_t trun = box_open(&b, "trun");
		WORDS(&b, 0, l->trun);
		box_close(&b, trun);
		box_close(&b, traf);
		box_close(&b, moof);
	}
	size_t mdat = box_open(&b, "mdat");
	for (int i = 0; i < 64; i++)
		WORDS(&b, 0x000001B3);
	box_close(&b, mdat);
	return b;
}

static void tables_are_as_large_as_they_say(void **state)
{
	(void)state;
	const lie lies[] = {
	    {"vide", "mp4v", .n_samples = 0xFFFFFFFF, .stts = 0xFFFFFFFF, .chunks = 1, .per_chunk = 0xFFFFFFFF},
	    {"vide", "mp4v", .n_samples = 100000000, .stts = 1, .chunks = 1, .per_chunk = 100000000},
	    {"vide", "mp4v", .n_samples = 10, .stts = 0x7FFFFFFF, .chunks = 1, .per_chunk = 10},
	    {"vide", "mp4v", .n_samples = 10, .stts = 10, .ctts = 0x7FFFFFFF, .chunks = 1, .per_chunk = 10},
	    {"vide", "mp4v", .n_samples = 1000000, .stts = 1000000, .chunks = 1, .per_chunk = 1000000, .edits = 60},
	    {"vide", "mp4v", .n_samples = 10, .stts = 10, .chunks = 1, .per_chunk = 10, .edits = 65},
	    {"soun", "sowt", .n_samples = 0xFFFFFFFF, .stts = 0xFFFFFFFF, .chunks = 60, .per_chunk = 0x7FFFFFFF},
	    {"vide", "mp4v", .n_samples = 0, .stts = 0, .chunks = 0, .per_chunk = 1, .trun = 0xFFFFFFF0},
	    {"vide", "mp4v", .n_samples = 10, .stts = 10, .chunks = 1, .per_chunk = 10, .tracks = 1000},
	    {"vide", "mp4v", .n_samples = 10, .stts = 10, .chunks = 1, .per_chunk = 10, .tracks = 9}};
	long before = peak_kib();
	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
		byte_buf b = lying_mp4(&lies[i]);
		sn_fault fault;
		sn_media m;
		assert_int_equal(refusal(&b, "more"), SN_RC_TOO_LARGE);
		assert_int_equal(hear(b.p, b.n, 0, &m, &fault), SN_RC_TOO_LARGE);
		drop(&b);
	}
	const lie short_one = {"vide", "mp4v", .n_samples = 10, .stts = 10, .chunks = 65, .per_chunk = 1};
	byte_buf b = lying_mp4(&short_one);
	assert_int_equal(refusal(&b, "damaged"), SN_RC_INVALID);
	drop(&b);
	assert_true(peak_kib() - before < HOW_MUCH_KIB);
}

static void codecs_that_are_not_read_are_named(void **state)
{
	(void)state;
	const struct { const char *handler, *entry, *name; } cases[] = {
	    {"vide", "mjp2", "JPEG 2000"}, {"soun", "iamf", "IAMF"}, {"vide", "apch", "ProRes"}, {"vide", "encv", "encrypted"}, {"vide", "zzzz", "not read"},
	    {"vide", "mp4a", "not read"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const lie l = {cases[i].handler, cases[i].entry, .n_samples = 10, .stts = 10, .chunks = 1, .per_chunk = 10};
		byte_buf b = lying_mp4(&l);
		assert_int_equal(refusal(&b, cases[i].name), SN_RC_UNSUPPORTED);
		drop(&b);
	}
	/* In Matroska: the same by the codec's id. */
	byte_buf b = make_clip("video/webm", 64, 48, 10, 25, NULL, 0);
	uint8_t *id = memmem(b.p, b.n, "V_VP9", 5);
	assert_non_null(id);
	memcpy(id, "V_VP7", 5);
	assert_int_not_equal(try_all(b.p, b.n), SN_RC_OK);
	drop(&b);
	b = make_clip("video/webm", 64, 48, 10, 25, NULL, 0);
	memcpy(memmem(b.p, b.n, "V_VP9", 5), "V_SNOW", 5);
	assert_int_not_equal(try_all(b.p, b.n), SN_RC_OK);
	drop(&b);
}

static void large_pictures_are_refused_by_their_header(void **state)
{
	(void)state;
	long before = peak_kib();
	static const uint8_t gif[] = "GIF89a\xFF\xFF\xFF\xFF\x80\0\0\0\0\0\xFF\xFF\xFF,\0\0\0\0\1\0\1\0\0\2\2D\1\0;";
	byte_buf b = {0};
	add(&b, gif, sizeof gif - 1);
	assert_int_equal(refusal(&b, "larger"), SN_RC_TOO_LARGE);
	drop(&b);
	assert_true(peak_kib() - before < HOW_MUCH_KIB);
}

static void many_small_pictures_are_counted(void **state)
{
	(void)state;
	byte_buf b = {0};
	add(&b, "GIF89a\1\0\1\0\x80\0\0\0\0\0\xFF\xFF\xFF", 19);
	for (int i = 0; i < 100000; i++)
		add(&b, ",\0\0\0\0\1\0\1\0\0\2\2D\1\0", 15);
	assert_int_equal(try_all(b.p, b.n), SN_RC_INVALID); /* no trailer */
	add(&b, ";", 1);
	assert_int_equal(refusal(&b, "more frames"), SN_RC_TOO_LARGE);
	drop(&b);
}

/* ---- escapes ---- */

static void nothing_else_is_opened(void **state)
{
	(void)state;
	char file[] = "/tmp/sn-canary-XXXXXX", text[1024];
	int fd = mkstemp(file), port_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n_at = sizeof at;
	byte_buf canary = make_clip("video/mp4", 64, 48, 5, 25, NULL, 0);
	assert_int_equal(write(fd, canary.p, canary.n), canary.n);
	assert_int_equal(bind(port_fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(port_fd, 8), 0);
	assert_int_equal(getsockname(port_fd, (struct sockaddr *)&at, &n_at), 0);
	const unsigned port = ntohs(at.sin_port);
	struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	assert_int_equal(futimens(fd, long_ago), 0);

	const char *const scripts[] = {
	    "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://%s\n#EXTINF:1,\nhttp://127.0.0.1:%u/a.ts\n#EXT-X-ENDLIST\n",
	    "ffconcat version 1.0\nfile '%s'\nfile 'http://127.0.0.1:%u/a.mp4'\n",
	    "<?xml version=\"1.0\"?><MPD><BaseURL>%s</BaseURL><BaseURL>http://127.0.0.1:%u/</BaseURL></MPD>",
	    "file:%s|http://127.0.0.1:%u/",
	    "concat:%s|subfile,,start,0,end,9,,:http://127.0.0.1:%u/",
	    "<svg xmlns=\"http://www.w3.org/2000/svg\"><image href=\"file://%s\"/><image href=\"http://127.0.0.1:%u/\"/></svg>",
	    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=%s\nm=video %u RTP/AVP 96\n",
	};
	for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
		int n = snprintf(text, sizeof text, scripts[i], file, port);
		assert_int_equal(try_all((const uint8_t *)text, (size_t)n), SN_RC_UNSUPPORTED);
		/* The same behind the first bytes of containers that are read, and inside their data. */
		const char *const fronts[] = {"\0\0\0\x14" "ftypisom\0\0\0\0isom", "\x1A\x45\xDF\xA3\x87\x42\x82\x84webm", "RIFF\xFF\0\0\0AVI ", "GIF89a", "G\x40\0\x10"};
		const size_t sizes[] = {20, 12, 12, 6, 4};
		for (size_t k = 0; k < 5; k++) {
			byte_buf b = {0};
			add(&b, fronts[k], sizes[k]);
			add(&b, text, (size_t)n);
			assert_int_not_equal(try_all(b.p, b.n), SN_RC_OK);
			drop(&b);
		}
	}
	char url[2][256];
	snprintf(url[0], sizeof url[0], "file://%s", file);
	snprintf(url[1], sizeof url[1], "http://127.0.0.1:%u/a.mov", port);
	for (int i = 0; i < 2; i++) {
		const lie l = {"vide", "mp4v", .n_samples = 10, .stts = 10, .chunks = 1, .per_chunk = 10, .url = url[i]};
		byte_buf b = lying_mp4(&l);
		assert_int_equal(refusal(&b, "other files"), SN_RC_UNSUPPORTED);
		drop(&b);
	}
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_atim.tv_sec, 1000); /* nobody has read it */
	assert_int_equal(accept(port_fd, NULL, NULL), -1); /* nobody has called */
	unlink(file);
	close(fd);
	close(port_fd);
	drop(&canary);
}

/* The program's own, which libraries find before libc's: tables of characters are files of the system's, loaded by name. */
iconv_t iconv_open(const char *to, const char *from);
static int n_tables;

iconv_t iconv_open(const char *to, const char *from)
{
	(void)to, (void)from;
	n_tables++;
	errno = EINVAL;
	return (iconv_t)-1;
}

static void names_of_programs_are_not_read(void **state)
{
	(void)state;
	static uint8_t bytes[1 << 16];
	FILE *f = fopen(CLIPS "/h264.ts", "rb");
	assert_non_null(f);
	size_t n = fread(bytes, 1, sizeof bytes, f) - 1, names = 0; /* the first byte is the fuzz target's */
	fclose(f);
	for (size_t i = 0; i < n; i += 188)
		names += bytes[1 + i] == 0x47 && (bytes[1 + i + 1] & 0x1F) == 0 && bytes[1 + i + 2] == 0x11;
	assert_true(names > 0);
	assert_int_equal(try_all(bytes + 1, n), SN_RC_OK);
	assert_int_equal(n_tables, 0);
}

static void other_files_are_not_taken(void **state)
{
	(void)state;
	const struct { const char *p; size_t n; } files[] = {
	    {"", 0}, {"G", 1}, {"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a browser of some kind, with words\r\n", 80}, {"RIFF\x10\0\0\0WAVEfmt ", 16},
	    {"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0\0\0\0\0\0\0\0\0IDAT", 41}, {"\xFF\xD8\xFF\xE0", 4}, {"OggS\0\2", 6}, {"fLaC", 4},
	    {"ID3\4\0\0\0\0\0\0\xFF\xFB\x90\x64", 14}, {"\xFF\xFB\x90\x64", 4}, {"\0\0\0\x0CjP  \r\n\x87\n", 12}, {"%PDF-1.7", 8}};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		assert_null(clips.clip->sniff((const uint8_t *)files[i].p, files[i].n));
		assert_null(clips.sound->sniff((const uint8_t *)files[i].p, files[i].n));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_cut_is_refused),
	    cmocka_unit_test(damage_is_refused_or_read_whole),
	    cmocka_unit_test(tables_are_as_large_as_they_say),
	    cmocka_unit_test(codecs_that_are_not_read_are_named),
	    cmocka_unit_test(large_pictures_are_refused_by_their_header),
	    cmocka_unit_test(many_small_pictures_are_counted),
	    cmocka_unit_test(nothing_else_is_opened),
	    cmocka_unit_test(names_of_programs_are_not_read),
	    cmocka_unit_test(other_files_are_not_taken),
	};
	return cmocka_run_group_tests(tests, clips_open, clips_close);
}
