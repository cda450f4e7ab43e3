#include "auth.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fault.h"
#include "keys.h"
#include "secret_file.h"

#define KEY_ENV "SENSORIUM_API_KEY"
#define MAX_KEYS 1024
#define MAX_KEY_BYTES 512
#define MAX_FILE_BYTES (MAX_KEYS * MAX_KEY_BYTES)

struct auth {
	key_set keys;
};

static int key_add(auth *a, const char *key, size_t size, const char *where, sn_error *err)
{
	for (size_t i = 0; i < size; i++)
		if (key[i] < 0x21 || key[i] > 0x7E)
			return fault_set(err, SN_ERR_INVALID, NULL, "%s: a key is printable ASCII without blanks", where);
	if (size > MAX_KEY_BYTES || a->keys.n == MAX_KEYS)
		return fault_set(err, SN_ERR_INVALID, NULL, "%s: at most %d keys of %d bytes", where, MAX_KEYS, MAX_KEY_BYTES);
	return keys_add(&a->keys, key, size) ? SN_OK : fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the keys");
}

/* One key a line; blanks around it and empty lines do not count. */
static int lines_add(auth *a, const char *text, size_t size, const char *where, sn_error *err)
{
	size_t before = a->keys.n;
	for (size_t i = 0; i < size;) {
		size_t end = i;
		while (end < size && text[end] != '\n')
			end++;
		size_t from = i, to = end;
		while (from < to && strchr(" \t\r", text[from]))
			from++;
		while (to > from && strchr(" \t\r", text[to - 1]))
			to--;
		int rc = to > from ? key_add(a, text + from, to - from, where, err) : SN_OK;
		if (rc != SN_OK)
			return rc;
		i = end + 1;
	}
	if (a->keys.n == before)
		return fault_set(err, SN_ERR_INVALID, NULL, "%s: holds no key", where);
	return SN_OK;
}

static int keys_from_file(auth *a, const char *path, const char *flag, sn_error *err)
{
	char *text;
	size_t size;
	int rc = secret_file_read(&text, &size, path, MAX_FILE_BYTES, flag, err);
	if (rc == SN_OK)
		rc = lines_add(a, text, size, flag, err);
	secret_file_free(&text, size);
	return rc;
}

static int keys_from_env(auth *a, const char *name, const char *where, sn_error *err)
{
	const char *value = getenv(name);
	if (!value || !*value)
		return fault_set(err, SN_ERR_INVALID, NULL, "%s: the environment variable is not set", where);
	return lines_add(a, value, strlen(value), where, err);
}

static auth *auth_new(void)
{
	auth *a = calloc(1, sizeof *a);
	if (a)
		keys_init(&a->keys);
	return a;
}

/* @FILE or env:NAME. */
static int keys_from_flag(auth *a, const char *value, const char *flag, sn_error *err)
{
	if (value[0] == '@')
		return keys_from_file(a, value + 1, flag, err);
	if (strncmp(value, "env:", 4) == 0)
		return keys_from_env(a, value + 4, flag, err);
	return fault_set(err, SN_ERR_INVALID, NULL,
	                 "%s: a key on the command line can be read by every user of this machine; "
	                 "give @FILE or env:NAME instead", flag);
}

int auth_open(auth **out, const options *o, sn_error *err)
{
	int rc = SN_OK;
	auth *a = auth_new();
	if (!a)
		return fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the keys");
	if (o->api_key)
		rc = keys_from_flag(a, o->api_key, "--api-key", err);
	if (rc == SN_OK && o->api_key_file)
		rc = keys_from_file(a, o->api_key_file, "--api-key-file", err);
	if (rc == SN_OK && getenv(KEY_ENV))
		rc = keys_from_env(a, KEY_ENV, KEY_ENV, err);
	if (rc != SN_OK)
		auth_close(&a);
	*out = a;
	return rc;
}

int auth_open_admin(auth **out, const options *o, sn_error *err)
{
	auth *a = auth_new();
	if (!a)
		return fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the keys");
	int rc = o->admin_api_key ? keys_from_flag(a, o->admin_api_key, "--admin-api-key", err) : SN_OK;
	if (rc != SN_OK)
		auth_close(&a);
	*out = a;
	return rc;
}

void auth_close(auth **pa)
{
	auth *a = *pa;
	if (!a)
		return;
	keys_fini(&a->keys);
	free(a);
	*pa = NULL;
}

bool auth_needed(const auth *a)
{
	return a->keys.n > 0;
}

static const char *key_given(const http_exchange *x)
{
	const char *bearer = http_header(x, "Authorization");
	if (bearer) {
		if (strncasecmp(bearer, "Bearer ", 7) != 0)
			return NULL;
		return bearer + 7 + strspn(bearer + 7, " ");
	}
	return http_header(x, "x-api-key");
}

bool auth_check(const auth *a, const http_exchange *x, char id[AUTH_ID_SIZE])
{
	id[0] = 0;
	if (!auth_needed(a))
		return true;
	const char *key = key_given(x);
	unsigned char given[KEY_DIGEST_BYTES];
	bool match = keys_match(&a->keys, key ? key : "", key ? strlen(key) : 0, given);
	if (match)
		sodium_bin2hex(id, AUTH_ID_SIZE, given, (AUTH_ID_SIZE - 1) / 2);
	return match;
}
