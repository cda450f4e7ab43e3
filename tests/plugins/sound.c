/* sound.c - see sound.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sound.h"

float tone(uint64_t i, uint32_t c, uint32_t rate)
{
	double t = (double)i / rate, w = 6.283185307179586 * t;
	return (float)((0.3 + 0.2 * sin(w * 1.3)) * sin(w * (220 + 90 * c)) + 0.15 * sin(w * (1400 - 100 * c) + c) + 0.05 * sin(w * 3100));
}

float *tones(uint64_t n, uint32_t rate)
{
	float *x = malloc(n * sizeof *x);
	for (uint64_t i = 0; i < n; i++)
		x[i] = tone(i, 0, rate);
	return x;
}

/* ---- libsndfile over a byte_buf ---- */

typedef struct stream {
	byte_buf b;
	size_t at;
} stream;

static sf_count_t length(void *user) { return (sf_count_t)((stream *)user)->b.n; }
static sf_count_t tell(void *user) { return (sf_count_t)((stream *)user)->at; }

static sf_count_t seek(sf_count_t offset, int whence, void *user)
{
	stream *s = user;
	s->at = (size_t)(offset + (sf_count_t)(whence == SEEK_SET ? 0 : whence == SEEK_CUR ? s->at : s->b.n));
	return (sf_count_t)s->at;
}

static sf_count_t read_bytes(void *p, sf_count_t n, void *user)
{
	stream *s = user;
	size_t left = s->at < s->b.n ? s->b.n - s->at : 0, count = (size_t)n < left ? (size_t)n : left;
	memcpy(p, s->b.p + s->at, count);
	s->at += count;
	return (sf_count_t)count;
}

static sf_count_t write_bytes(const void *p, sf_count_t n, void *user)
{
	stream *s = user;
	static const uint8_t zeros[4096];
	while (s->b.n < s->at + (size_t)n)
		add(&s->b, zeros, s->at + (size_t)n - s->b.n < sizeof zeros ? s->at + (size_t)n - s->b.n : sizeof zeros);
	memcpy(s->b.p + s->at, p, (size_t)n);
	s->at += (size_t)n;
	return n;
}

static SF_VIRTUAL_IO io = {length, seek, read_bytes, write_bytes, tell};

static byte_buf file_of(int format, uint32_t rate, uint32_t channels, uint64_t frames, double quality, float loud)
{
	stream s = {0};
	SF_INFO info = {.samplerate = (int)rate, .channels = (int)channels, .format = format};
	SNDFILE *f = sf_open_virtual(&io, SFM_WRITE, &info, &s);
	assert_non_null(f);
	if (quality >= 0)
		assert_int_equal(sf_command(f, SFC_SET_COMPRESSION_LEVEL, &quality, sizeof quality), SF_TRUE);
	float *block = calloc(1024 * channels, sizeof *block);
	for (uint64_t at = 0; at < frames; at += 1024) {
		uint64_t n = frames - at < 1024 ? frames - at : 1024;
		for (uint64_t i = 0; loud != 0 && i < n; i++)
			for (uint32_t c = 0; c < channels; c++)
				block[i * channels + c] = tone(at + i, c, rate) * loud;
		assert_int_equal(sf_writef_float(f, block, (sf_count_t)n), n);
	}
	free(block);
	assert_int_equal(sf_close(f), 0);
	return s.b;
}

byte_buf sound_file(int format, uint32_t rate, uint32_t channels, uint64_t frames, double quality)
{
	return file_of(format, rate, channels, frames, quality, 1);
}

byte_buf sound_silence(int format, uint32_t rate, uint32_t channels, uint64_t frames)
{
	return file_of(format, rate, channels, frames, -1, 0);
}

float *sound_read(const byte_buf *file, uint64_t *n, uint32_t *rate)
{
	stream s = {.b = *file};
	SF_INFO info = {0};
	SNDFILE *f = sf_open_virtual(&io, SFM_READ, &info, &s);
	assert_non_null(f);
	size_t channels = (size_t)info.channels, cap = (size_t)info.frames;
	float *all = malloc((cap * channels + 1) * sizeof *all);
	sf_count_t got, total = 0;
	while ((got = sf_readf_float(f, all + (size_t)total * channels, (sf_count_t)cap - total)) > 0)
		total += got;
	for (size_t i = 0; i < (size_t)total; i++) {
		double sum = 0;
		for (size_t c = 0; c < channels; c++)
			sum += all[i * channels + c];
		all[i] = (float)(sum * (1.0 / (double)channels));
		all[i] = all[i] > 1 ? 1 : all[i] < -1 ? -1 : all[i];
	}
	sf_close(f);
	*n = (uint64_t)total;
	*rate = (uint32_t)info.samplerate;
	return all;
}

byte_buf wav_file(uint32_t tag, uint32_t channels, uint32_t rate, uint32_t bits, const void *data, size_t n, uint32_t said)
{
	byte_buf b = {0};
	add(&b, "RIFF", 4);
	add_le(&b, (uint32_t)(4 + 8 + 18 + 8 + n), 4);
	add(&b, "WAVEfmt ", 8);
	add_le(&b, 18, 4);
	add_le(&b, tag, 2);
	add_le(&b, channels, 2);
	add_le(&b, rate, 4);
	add_le(&b, rate * channels * bits / 8, 4);
	add_le(&b, channels * ((bits + 7) / 8), 2);
	add_le(&b, bits, 2);
	add_le(&b, 0, 2);
	add(&b, "data", 4);
	add_le(&b, said, 4);
	add(&b, data, n);
	return b;
}

void ogg_sum(uint8_t *p, size_t n)
{
	uint32_t crc = 0;
	memset(p + 22, 0, 4);
	for (size_t i = 0; i < n; i++) {
		crc ^= (uint32_t)p[i] << 24;
		for (int k = 0; k < 8; k++)
			crc = crc << 1 ^ (crc & 0x80000000u ? 0x04C11DB7u : 0);
	}
	for (int k = 0; k < 4; k++)
		p[22 + k] = (uint8_t)(crc >> 8 * k);
}

void add_ogg_page(byte_buf *b, uint32_t flags, uint64_t granule, uint32_t sequence, const uint8_t *packets, const uint8_t *sizes, size_t n)
{
	size_t begin = b->n, body = 0;
	add(b, "OggS", 5);
	add_le(b, flags, 1);
	add_le(b, (uint32_t)granule, 4);
	add_le(b, (uint32_t)(granule >> 32), 4);
	add_le(b, 7, 4);
	add_le(b, sequence, 4);
	add_le(b, 0, 4);
	add_le(b, (uint32_t)n, 1);
	add(b, sizes, n);
	for (size_t i = 0; i < n; i++)
		body += sizes[i];
	add(b, packets, body);
	ogg_sum(b->p + begin, b->n - begin);
}

size_t ogg_page_at(const byte_buf *b, size_t k)
{
	size_t at = 0;
	for (; k && at < b->n; k--) {
		size_t lacing = b->p[at + 26], body = 0;
		for (size_t i = 0; i < lacing; i++)
			body += b->p[at + 27 + i];
		at += 27 + lacing + body;
	}
	return at;
}

byte_buf opus_file(uint32_t channels, uint32_t n, const uint8_t *packet, size_t size, uint32_t samples)
{
	byte_buf b = {0}, head = {0};
	uint8_t packets[50 * 254], sizes[50];
	uint32_t sequence = 2;
	add(&head, "OpusHead\1", 9);
	add_le(&head, channels, 1);
	add_le(&head, 0, 2);
	add_le(&head, 48000, 4);
	add_le(&head, 0, 3);
	add_ogg_page(&b, 2, 0, 0, head.p, (uint8_t[]){19}, 1);
	add_ogg_page(&b, 0, 0, 1, (const uint8_t *)"OpusTags\0\0\0\0\0\0\0\0", (uint8_t[]){16}, 1);
	for (uint32_t done = 0; done < n;) {
		uint32_t here = n - done < 50 ? n - done : 50;
		for (uint32_t i = 0; i < here; i++) {
			memcpy(packets + i * size, packet, size);
			sizes[i] = (uint8_t)size;
		}
		done += here;
		add_ogg_page(&b, done == n ? 4 : 0, (uint64_t)done * samples, sequence++, packets, sizes, here);
	}
	drop(&head);
	return b;
}

double noise_db(const float *x, const float *y, size_t n)
{
	double xx = 0, yy = 0, xy = 0;
	for (size_t i = 0; i < n; i++)
		xx += (double)x[i] * x[i], yy += (double)y[i] * y[i], xy += (double)x[i] * y[i];
	double gain = yy > 0 ? xy / yy : 0, noise = xx - gain * xy;
	return 10 * log10((noise > 0 ? noise : 1e-30) / (xx + 1e-30));
}

void drop(byte_buf *b)
{
	free(b->p);
	*b = (byte_buf){0};
}
