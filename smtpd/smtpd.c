// SPDX-License-Identifier: BSD-2-Clause
/* smtpd: the SMTP server.  What it opens before the jail, and its walls. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/digest.h"
#include "log/log.h"
#include "net/dns.h"
#include "rewrite/log_address.h"
#include "server/shared.h"
#include "smtpd/smtpd.h"
#include "smtpd/smtpd_footer.h"
#include "smtpd/smtpd_haproxy.h"
#include "smtpd/smtpd_limits.h"
#include "sys/socket.h"
#include "table/table.h"

struct smtpd_server smtpd_server;

static uint64_t next_number(void *arg)
{
	return shared_next_number(arg);
}

static struct match_list *list(const struct postfix_params *p, const char *name)
{
	return match_list_new(p, name, postfix_param_lookup(p, name));
}

static int bare_newline_mode(const char *value)
{
	if (strcmp(value, "no") == 0)
		return BARE_NEWLINE_NO;
	if (strcmp(value, "note") == 0)
		return BARE_NEWLINE_NOTE;
	if (strcmp(value, "reject") == 0)
		return BARE_NEWLINE_REJECT;
	return BARE_NEWLINE_NORMALIZE;
}

/* A UNIX socket's name may be relative to the queue directory. */
static char *sasl_socket(const struct postfix_params *p)
{
	const char *path = p->smtpd_sasl_path;

	if (slice_starts(slice_of(path), "inet:"))
		return xstrdup(path);
	if (slice_starts(slice_of(path), "unix:"))
		path += strlen("unix:");
	return path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", p->queue_directory, path);
}

/* Where Cyrus SASL looks, on 64-bit Red Hat, too; Debian's Postfix in its own directory first. */
#define CYRUS_CONFIG_PATH "/usr/lib/sasl2:/usr/lib64/sasl2:/etc/sasl2"

static void open_sasl(const struct server_context *ctx)
{
	const struct postfix_params *p = ctx->params;
	bool is_cyrus = strcmp(p->smtpd_sasl_type, "cyrus") == 0;
	struct reason why;

	if (!p->smtpd_sasl_auth_enable)
		return;
	char *path = is_cyrus ? xstrdup(p->smtpd_sasl_path) : sasl_socket(p);
	char *config_path =
	    p->cyrus_sasl_config_path[0] != '\0'
		? xstrdup(p->cyrus_sasl_config_path)
		: xasprintf("%s/sasl:" CYRUS_CONFIG_PATH, postfix_source_dir(ctx->postfix));

	smtpd_server.auth = auth_service_new(
	    &(struct auth_service_config){
		.type = p->smtpd_sasl_type,
		.path = path,
		.config_path = config_path,
		.service = p->smtpd_sasl_service,
		.host = p->myhostname,
		.realm = p->smtpd_sasl_local_domain,
	    },
	    &why);
	if (smtpd_server.auth == NULL)
		fatal("%s", why.text);
	free(config_path);
	free(path);
}

static void open_intake(const struct server_context *ctx)
{
	const char *cleanup = ctx->params->cleanup_service_name;
	struct reason why;

	smtpd_server.intake = intake_service_new(
	    &(struct intake_service_config){
		.params = server_role(cleanup, "unix"),
		.log_name = server_role_log_name(cleanup, "unix", "cleanup"),
		.program = "smtpd",
		.proc_fd = ctx->proc_fd,
		.next_number = next_number,
		.next_number_arg = ctx->shared,
	    },
	    &why);
	if (smtpd_server.intake == NULL)
		fatal("%s", why.text);
	char *incoming = xasprintf("%s/incoming", ctx->params->queue_directory);

	smtpd_server.spool_fd = open(incoming, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(incoming);
}

/* Of the clients that are accepted. */
static void set_windows(const struct server_context *ctx)
{
	int size = (int)ctx->params->tcp_windowsize;

	for (size_t i = 0; size > 0 && i < ctx->listener_count; i++)
		if (ctx->listeners[i].type == LISTENER_INET &&
		    socket_buffers(ctx->listeners[i].fd, size) == -1)
			log_warning("cannot set tcp_windowsize %d: %s", size, strerror(errno));
}

static void prepare(struct server_context *ctx)
{
	const struct postfix_params *p = ctx->params;
	log_address_prepare(ctx->params);
	unsigned char digest[DIGEST_MAX_SIZE];

	smtpd_server.ctx = ctx;
	smtpd_server.params = p;
	smtpd_server.line_max =
	    (size_t)(p->line_length_limit < 65534 ? p->line_length_limit : 65534);
	if (p->postcote_smtpd_processes > 0)
		ctx->processes = (unsigned)p->postcote_smtpd_processes;
	set_windows(ctx);
	smtpd_tls_open(ctx);			    /* before all else of OpenSSL */
	digest_bytes("SHA256", SLICE_NULL, digest); /* libcrypto reads its configuration now */
	if (p->postcote_dns_server[0] != '\0' && !dns_use_server(p->postcote_dns_server))
		fatal("bad postcote_dns_server parameter: %s", p->postcote_dns_server);
	dns_open();
	smtpd_server.resolver = resolver_new(p);
	smtpd_server.rewriter = rewriter_new(p);
	smtpd_server.restrictions =
	    restrictions_new(p, smtpd_server.resolver, smtpd_server.rewriter);
	smtpd_server.notified = transcript_classes(p);
	smtpd_footer_open(p);
	const char *trouble = restrictions_trouble(smtpd_server.restrictions);

	if (trouble != NULL)
		fatal("%s", trouble);
	smtpd_server.forbidden_commands = list(p, "smtpd_forbidden_commands");
	smtpd_server.bare_newline_exclusions = list(p, "smtpd_forbid_bare_newline_exclusions");
	smtpd_server.sasl_filter = list(p, "smtpd_sasl_mechanism_filter");
	smtpd_server.sasl_exceptions = list(p, "smtpd_sasl_exceptions_networks");
	smtpd_server.discard_maps = tables_open("smtpd_discard_ehlo_keyword_address_maps",
	    p->smtpd_discard_ehlo_keyword_address_maps, 0);
	smtpd_server.xclient_hosts = list(p, "smtpd_authorized_xclient_hosts");
	smtpd_server.verp_clients = list(p, "smtpd_authorized_verp_clients");
	smtpd_server.debug_peers = list(p, "debug_peer_list");
	smtpd_server.xforward_hosts = list(p, "smtpd_authorized_xforward_hosts");
	smtpd_limits_open(ctx);
	smtpd_haproxy_open(p);
	smtpd_server.bare_newline = bare_newline_mode(p->smtpd_forbid_bare_newline);
	smtpd_server.command_filter =
	    tables_open("smtpd_command_filter", p->smtpd_command_filter, 0);
	smtpd_server.noop_commands = list(p, "smtpd_noop_commands");
	smtpd_server.fast_flush_domains = list(p, "fast_flush_domains");
	open_sasl(ctx);
	open_intake(ctx);
}

/*
 * Tables are read again when they change, names are looked up, and the spool gets unnamed files;
 * nothing else of the file system is there.
 */
static void walls(const struct server_context *ctx, struct sandbox *walls)
{
	static struct sandbox_path paths[40];
	const char *dir;
	size_t n = 0;

	paths[n++] = (struct sandbox_path){ "/etc", SANDBOX_READ };
	paths[n++] = (struct sandbox_path){ postfix_source_dir(ctx->postfix), SANDBOX_READ };
	paths[n++] = (struct sandbox_path){ "/usr/lib", SANDBOX_READ };
	paths[n++] = (struct sandbox_path){ "/usr/share/zoneinfo", SANDBOX_READ };
	paths[n++] = (struct sandbox_path){ ctx->params->data_directory, SANDBOX_READ };
	char *incoming = xasprintf("%s/incoming", ctx->params->queue_directory);

	paths[n++] = (struct sandbox_path){ incoming, intake_spool_access(smtpd_server.intake) };
	paths[n++] = (struct sandbox_path){ "/proc/self/fd", SANDBOX_READ };
	/* Its files are read as clients' certificates ask for them. */
	if (ctx->params->smtpd_tls_CApath[0] != '\0')
		paths[n++] = (struct sandbox_path){ ctx->params->smtpd_tls_CApath, SANDBOX_READ };
	for (size_t i = 0; (dir = table_directory(i)) != NULL && n < ARRAY_LEN(paths) - 1; i++)
		paths[n++] = (struct sandbox_path){ dir, SANDBOX_READ };
	for (size_t i = 0; smtpd_server.auth != NULL && n < ARRAY_LEN(paths) - 1 &&
			   (dir = auth_service_reads(smtpd_server.auth, i)) != NULL;
	     i++)
		paths[n++] = (struct sandbox_path){ dir, SANDBOX_READ };
	paths[n] = (struct sandbox_path){ NULL, SANDBOX_READ };
	walls->paths = paths;
	walls->landlock = true;
	walls->calls = SANDBOX_CALLS_DENY;
}

static const struct session_class smtp_class = {
	.name = "smtp",
	.size = sizeof(struct smtpd),
	.serve = smtpd_serve,
	.close = smtpd_close,
};

static const struct session_class *session_of(const struct server_listener *listener)
{
	(void)listener;
	return &smtp_class;
}

static const struct server server = {
	.program = "smtpd",
	.language = SERVER_POSTFIX,
	.user = SERVER_MAIL_OWNER,
	.prepare = prepare,
	.walls = walls,
	.session = session_of,
};

int main(int argc, char **argv)
{
	return server_main(&server, argc, argv);
}
