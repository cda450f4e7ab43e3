/* source.c - libsndfile over a window of bytes in memory, behind a prefix of our own: no file is opened. What it says of the file must
 * be what our parser said. */
#include <errno.h>
#include <sndfile.h>
#include <string.h>

#include "codec.h"

static sf_count_t length(void *user)
{
	const source *s = user;
	return (sf_count_t)(s->header->n_prefix + s->header->n);
}

static sf_count_t seek(sf_count_t offset, int whence, void *user)
{
	source *s = user;
	sf_count_t all = length(s), base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (sf_count_t)s->at : all;
	if (offset < -base || offset > all - base)
		return -1;
	s->at = (size_t)(base + offset);
	return (sf_count_t)s->at;
}

static sf_count_t read_bytes(void *out, sf_count_t count, void *user)
{
	source *s = user;
	const audio_header *h = s->header;
	size_t n = count > 0 ? (size_t)count : 0, done = 0;
	if (s->at < h->n_prefix) {
		done = n < h->n_prefix - s->at ? n : h->n_prefix - s->at;
		memcpy(out, h->prefix + s->at, done);
		s->at += done;
	}
	size_t at = s->at - (s->at < h->n_prefix ? s->at : h->n_prefix), left = h->n - at, rest = n - done;
	rest = s->at < h->n_prefix ? 0 : rest < left ? rest : left;
	memcpy((uint8_t *)out + done, s->bytes + h->start + at, rest);
	s->at += rest;
	return (sf_count_t)(done + rest);
}

static sf_count_t tell(void *user) { return (sf_count_t)((const source *)user)->at; }

static sf_count_t write_bytes(const void *p, sf_count_t n, void *user)
{
	(void)p;
	(void)n;
	(void)user;
	return 0;
}

/* Opus is decoded at its own rate, whatever rate its source once had. */
static bool at_full_rate(SNDFILE *file, SF_INFO *info)
{
	int rate = 48000;
	if (sf_command(file, SFC_SET_ORIGINAL_SAMPLERATE, &rate, sizeof rate) != SF_TRUE)
		return false;
	SF_INFO now = {0};
	if (sf_command(file, SFC_GET_CURRENT_SF_INFO, &now, sizeof now) != 0)
		return false;
	*info = now;
	return true;
}

/* libsndfile, and what it decodes with, do not say that they found no memory; malloc does. */
static sn_rc refuse(const audio_input *in, int error, const char *why)
{
	return error == ENOMEM ? kit_fail(in->fault, SN_RC_NOMEM, "no memory to decode the sound") : kit_fail(in->fault, SN_RC_INVALID, why);
}

sn_rc source_open(source *s, const audio_input *in, const audio_header *h)
{
	static SF_VIRTUAL_IO const io = {length, seek, read_bytes, write_bytes, tell};
	SF_VIRTUAL_IO calls = io; /* libsndfile takes it without const */
	SF_INFO info = {0};
	*s = (source){.header = h, .bytes = in->bytes, .frames = h->frames};
	if (h->format == (SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III))
		return mp3_open(s) ? SN_RC_OK : kit_fail(in->fault, SN_RC_NOMEM, "no memory to decode the sound");
	if (h->raw)
		info = (SF_INFO){.samplerate = (int)h->rate, .channels = (int)h->channels, .format = h->format};
	errno = 0;
	SNDFILE *file = sf_open_virtual(&calls, SFM_READ, &info, s);
	int error = errno;
	if (!file) {
		kit_log(in->host, in->call, SN_HOST_WARN, sf_strerror(NULL));
		return refuse(in, error, "the sound file is damaged");
	}
	s->file = file;
	bool agrees = ((h->format & SF_FORMAT_SUBMASK) != SF_FORMAT_OPUS || at_full_rate(file, &info)) &&
	              (info.format & (SF_FORMAT_TYPEMASK | SF_FORMAT_SUBMASK)) == (h->format & (SF_FORMAT_TYPEMASK | SF_FORMAT_SUBMASK)) &&
	              info.channels == (int)h->channels && info.samplerate == (int)h->rate && info.frames > 0 &&
	              (h->library_counts || (uint64_t)info.frames == h->frames);
	if (agrees) {
		s->frames = (uint64_t)info.frames;
		return SN_RC_OK;
	}
	error = errno;
	source_close(s);
	return refuse(in, error, "the sound file is not what its header says");
}

sn_rc source_read(source *s, const audio_input *in, float *out, size_t n, size_t *got)
{
	errno = 0;
	if (s->mp3)
		return mp3_read(s, out, n, got) ? SN_RC_OK : refuse(in, errno, "the sound file is damaged");
	sf_count_t frames = sf_readf_float(s->file, out, (sf_count_t)n);
	*got = frames > 0 ? (size_t)frames : 0;
	return frames >= 0 && sf_error(s->file) == SF_ERR_NO_ERROR ? SN_RC_OK : refuse(in, errno, "the sound file is damaged");
}

void source_close(source *s)
{
	if (s->file)
		sf_close(s->file);
	s->file = NULL;
	mp3_close(s);
}
