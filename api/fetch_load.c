#include "fetch_load.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"
#include "models_json.h"

/* Beside the program (a build tree), else where an installation puts it. */
static bool find_file(char out[PATH_MAX])
{
	static const char *const places[] = {"lib/fetch.so", "../lib/sensorium/fetch.so"};
	char folder[PATH_MAX];
	struct stat st;
	if (!program_folder(folder, sizeof folder))
		return false;
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		int n = snprintf(out, PATH_MAX, "%s/%s", folder, places[i]);
		if (n > 0 && n < PATH_MAX && lstat(out, &st) == 0)
			return S_ISREG(st.st_mode) && !(st.st_mode & S_IWOTH) && (st.st_uid == 0 || st.st_uid == geteuid());
	}
	return false;
}

int fetch_load(const fetch_table **out, sn_error *err)
{
	char path[PATH_MAX];
	if (!find_file(path))
		return fault_set(err, SN_ERR_INVALID, NULL, "--allowed-media-domains: lib/fetch.so is missing, or others may write it");
	void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	fetch_table_fn *entry = NULL;
	if (so)
		*(void **)&entry = dlsym(so, FETCH_SYMBOL);
	*out = entry ? entry() : NULL;
	if (!*out || (*out)->size != sizeof(fetch_table))
		return fault_set(err, SN_ERR_INVALID, NULL, "--allowed-media-domains: lib/fetch.so is of another version, or its libraries are missing");
	return SN_OK;
}
