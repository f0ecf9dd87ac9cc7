// SPDX-License-Identifier: BSD-2-Clause
#include "authd/sasl_mechanism.h"

#include "auth/auth_proto.h"
#include "authd/sasl_peek.h"
#include "base/check.h"
#include "log/log.h"

static const struct sasl_mechanism known[] = {
	{ .name = "PLAIN",
	    .flags = AUTH_MECH_PLAINTEXT,
	    .says_name = true,
	    .allows_nuls = true,
	    .peek = sasl_peek_plain },
	{ .name = "LOGIN", .flags = AUTH_MECH_PLAINTEXT, .says_name = true },
	{ .name = "CRAM-MD5",
	    .flags = AUTH_MECH_DICTIONARY | AUTH_MECH_ACTIVE,
	    .scheme = "CRAM-MD5",
	    .server_first = true,
	    .says_name = true },
	{ .name = "DIGEST-MD5",
	    .flags = AUTH_MECH_DICTIONARY | AUTH_MECH_ACTIVE | AUTH_MECH_MUTUAL_AUTH,
	    .scheme = "DIGEST-MD5",
	    .server_first = true,
	    .says_name = true,
	    .peek = sasl_peek_digest },
	{ .name = "SCRAM-SHA-1",
	    .flags = AUTH_MECH_MUTUAL_AUTH,
	    .scheme = "SCRAM-SHA-1",
	    .says_name = true,
	    .peek = sasl_peek_scram },
	{ .name = "SCRAM-SHA-256",
	    .flags = AUTH_MECH_MUTUAL_AUTH,
	    .scheme = "SCRAM-SHA-256",
	    .says_name = true,
	    .peek = sasl_peek_scram },
	{ .name = "APOP",
	    .flags = AUTH_MECH_PRIVATE | AUTH_MECH_DICTIONARY | AUTH_MECH_ACTIVE,
	    .scheme = "PLAIN",
	    .says_name = true,
	    .allows_nuls = true },
	{ .name = "ANONYMOUS", .flags = AUTH_MECH_ANONYMOUS, .allows_nuls = true },
	{ .name = "EXTERNAL", .peek = sasl_peek_external },
};

/* What Dovecot has beside them. */
static const char *const absent[] = { "GSSAPI", "GSS-SPNEGO", "OTP", "OAUTHBEARER", "XOAUTH2",
	"NTLM", "RPA", "SKEY", "WINBIND", "WINBIND-SPNEGO" };

static const struct sasl_mechanism *offered[ARRAY_LEN(known)];
static size_t offered_count;
static bool is_absent(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(absent); i++)
		if (slice_caseeq_str(name, absent[i]))
			return true;
	return false;
}

static void offer(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (!slice_caseeq_str(name, known[i].name))
			continue;
		if (!sasl_mechanism_find(name))
			offered[offered_count++] = &known[i];
		return;
	}
	if (!is_absent(name))
		fatal("Unknown authentication mechanism '%.*s'", SLICE_ARG(name));
	log_warning("auth_mechanisms: %.*s is not there yet and not offered", SLICE_ARG(name));
}

void sasl_mechanism_offer(const char *wanted)
{
	struct slice rest = slice_of(wanted), word;

	while (slice_token(&rest, ", \t", &word))
		offer(word);
}

size_t sasl_mechanism_count(void)
{
	return offered_count;
}

const struct sasl_mechanism *sasl_mechanism_at(size_t i)
{
	return offered[i];
}

const struct sasl_mechanism *sasl_mechanism_find(struct slice name)
{
	for (size_t i = 0; i < offered_count; i++)
		if (slice_caseeq_str(name, offered[i]->name))
			return offered[i];
	return NULL;
}
