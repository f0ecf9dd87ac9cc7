// SPDX-License-Identifier: BSD-2-Clause
/* doveadm auth: logs in, as a client of the authentication server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "auth/auth_client.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "cmd/doveadm.h"

#define LOOKUP_MS (30 * 1000)

const char doveadm_auth_usage[] = "auth test [-a <auth socket path>] <user> [<password>]";

static int print_auth(const char *user, const struct auth_request *request, enum auth_status status)
{
	if (status == AUTH_TEMPORARY && !*auth_request_code(request)) {
		fprintf(stderr, "Error: auth-client: %s\n", auth_request_reason(request));
		return EX_NOPERM;
	}
	printf("passdb: %s auth %s\n", user, status == AUTH_OK ? "succeeded" : "failed");
	printf("extra fields:\n  user=%s\n", auth_request_user(request));
	if (*auth_request_code(request))
		printf("  code=%s\n", auth_request_code(request));
	return status == AUTH_OK ? 0 : EX_NOPERM;
}

int doveadm_auth(int argc, char **argv)
{
	struct strbuf plain = STRBUF_INIT(4096), coded = STRBUF_INIT(8192);
	struct auth_params params = { .mechanism = "PLAIN", .service = "doveadm", .nologin = true };
	const char *socket = "auth-client", *password;
	char *path;
	struct dovecot_settings *settings;
	struct auth_request *request;
	struct auth_client *client;
	enum auth_status status;
	int option, code;

	if (argc < 2 || strcmp(argv[1], "test") != 0)
		doveadm_usage(doveadm_auth_usage);
	argc--;
	argv++;
	while ((option = getopt(argc, argv, "+a:")) != -1) {
		if (option != 'a')
			doveadm_usage(doveadm_auth_usage);
		socket = optarg;
	}
	if (argc - optind < 1 || argc - optind > 2)
		doveadm_usage(doveadm_auth_usage);
	password = argc - optind == 2 ? argv[optind + 1] : getpass("Password: ");
	settings = doveadm_settings("doveadm");
	path = doveadm_socket_path(settings, socket);
	client = auth_client_new(path);
	strbuf_addch(&plain, '\0');
	strbuf_addstr(&plain, argv[optind]);
	strbuf_addch(&plain, '\0');
	strbuf_addstr(&plain, password ? password : "");
	base64_encode(&coded, strbuf_slice(&plain));
	params.initial = strbuf_slice(&coded);
	request = auth_request_start(client, &params, deadline_in(LOOKUP_MS), &status);
	if (status == AUTH_CONTINUE)
		doveadm_die(EX_TEMPFAIL, "auth-client: the server asks for more");
	code = print_auth(argv[optind], request, status);
	auth_request_free(request);
	auth_client_free(client);
	free(path);
	dovecot_settings_free(settings);
	strbuf_release(&plain);
	strbuf_release(&coded);
	return code;
}
