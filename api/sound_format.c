#include "sound_format.h"

#include <string.h>
#include <strings.h>

#include "fault.h"

static const sound_format formats[] = {
	{"mp3", "audio/mpeg", "mp3"},
	{"opus", "audio/ogg", "opus ogg"},
	{"flac", "audio/flac", "flac"},
	{"wav", "audio/wav", "wav"},
	{"pcm", "audio/pcm", "pcm raw"},
};

const sound_format *sound_format_find(const char *name)
{
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
		if (strcmp(formats[i].name, name) == 0)
			return &formats[i];
	return NULL;
}

const sound_format *sound_format_of_file(const char *path)
{
	const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
	for (size_t i = 0; dot && i < sizeof formats / sizeof *formats; i++)
		for (const char *at = formats[i].suffixes; *at; at += strspn(at, " ")) {
			size_t n = strcspn(at, " ");
			if (strlen(dot + 1) == n && strncasecmp(dot + 1, at, n) == 0)
				return &formats[i];
			at += n;
		}
	return NULL;
}

void sound_format_content_type(const sound_format *f, uint32_t rate, char out[64])
{
	bool bare = strcmp(f->name, "pcm") == 0; /* nothing else tells how it is to be read */
	snprintf(out, 64, bare ? "%s;rate=%u;channels=1" : "%s", f->media_type, rate);
}

int sound_format_parse(const sound_format **out, const char *param, const char *name, const char *pcm, sn_error *err)
{
	*out = name && strcmp(name, "pcm") != 0 ? sound_format_find(name) : NULL;
	if (name && strcmp(name, pcm) == 0)
		*out = sound_format_find("pcm");
	if (*out)
		return SN_OK;
	if (name && strcmp(name, "aac") == 0)
		return fault_set(err, SN_ERR_UNSUPPORTED, param, "%s aac is not supported here: it must be mp3, opus, flac, wav or %s", param, pcm);
	return fault_set(err, SN_ERR_INVALID, param, "%s must be mp3, opus, flac, wav or %s", param, pcm);
}
