// SPDX-License-Identifier: BSD-2-Clause
#include "authd/mismatch.h"

#include <stdlib.h>
#include <string.h>

#include "authd/database_list.h"
#include "base/codec.h"
#include "base/digest.h"

/* auth_verbose_passwords: "no", "yes" or "plain", "sha1", each but the first with ":BYTES". */
static void show_password(struct strbuf *out, const char *setting, struct slice password)
{
	const char *colon = strchr(setting, ':');
	size_t max = colon ? strtoul(colon + 1, NULL, 10) : SIZE_MAX;

	if (!strncmp(setting, "sha1", 4)) {
		unsigned char digest[DIGEST_MAX_SIZE];
		size_t len = digest_bytes("SHA1", password, digest);
		struct strbuf hex = STRBUF_INIT(2 * DIGEST_MAX_SIZE);

		hex_encode(&hex, slice_mem(digest, len));
		strbuf_addf(out, " (SHA1 of given password: %.*s)",
		    SLICE_ARG(slice_first(strbuf_slice(&hex), max)));
		strbuf_release(&hex);
	} else if (!strncmp(setting, "plain", 5) || !strncmp(setting, "yes", 3)) {
		strbuf_addf(out, " (given password: %.*s)", SLICE_ARG(slice_first(password, max)));
	}
}

void mismatch_log(const struct subject *subject, const struct database *db, struct slice password,
    const char *text)
{
	struct strbuf line = STRBUF_INIT(1000);

	if (!db->verbose)
		return;
	strbuf_addstr(&line, text);
	if (password.ptr)
		show_password(&line, database_settings->auth_verbose_passwords, password);
	subject_log(subject, LOG_LEVEL_INFO, db->driver_name, "%s", line.ptr);
	secret_release(&line);
}
