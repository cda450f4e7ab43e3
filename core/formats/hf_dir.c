#include "formats/hf_dir.h"

#include <stdio.h>

#include "base/error.h"
#include "formats/hf_codec.h"
#include "formats/hf_config.h"
#include "formats/hf_keys.h"
#include "formats/hf_names.h"
#include "formats/hf_sentence.h"
#include "formats/hf_text.h"
#include "formats/hf_weights.h"
#include "formats/hf_whisper.h"

static sn_status read_all(model_file *f, sn_error *err)
{
	hf_config config;
	hf_codec codec = {0};
	st_tensor *tensors;
	size_t n;
	sn_status st = hf_keys_init(f, err);
	if (!st)
		st = hf_config_read(&config, f, err);
	if (!st)
		st = hf_sentence_read(&config, f, err);
	if (!st)
		st = hf_weights_open(f, &tensors, &n, err);
	if (!st)
		st = config.has & HF_TALKER ? hf_codec_open(&codec, f, err) : SN_OK;
	if (!st)
		st = hf_names_translate(f, &config, tensors, n, codec.n, err);
	if (!st && codec.n)
		st = hf_codec_place(&codec, f, err);
	if (!st)
		st = hf_text_read(f, err);
	return st || !(config.has & HF_ENCDEC) ? st : hf_whisper_generation(f, err);
}

sn_status hf_dir_read(model_file *f, const char *dir, sn_error *err)
{
	sn_error why;
	f->from_hf = true;
	f->dir = arena_strndup(f->mem, dir, strlen(dir));
	if (!f->dir)
		return error_set(err, SN_ERR_NOMEM, "%s: no memory to open it", f->name);
	sn_status st = read_all(f, &why);
	return st ? error_set(err, st, "%.64s: %.300s", f->name, why.text) : SN_OK;
}
