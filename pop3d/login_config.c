// SPDX-License-Identifier: BSD-2-Clause
#include "pop3d/login_config.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/map.h"
#include "log/log.h"

#define LABELS_MAX 200
#define PLACES_MAX 20000 /* combinations of blocks for which certificates are looked for */

/* What makes one TLS context another one. */
static const char *const tls_settings[] = { "ssl", "ssl_cert", "ssl_key", "ssl_alt_cert",
	"ssl_alt_key", "ssl_ca", "ssl_dh", "ssl_require_crl", "ssl_verify_client_cert",
	"auth_ssl_require_client_cert", "auth_ssl_username_from_cert", "ssl_min_protocol",
	"ssl_cipher_list", "ssl_cipher_suites", "ssl_curve_list", "ssl_options",
	"ssl_prefer_server_ciphers" };

static struct {
	const struct dovecot_source *source;
	struct slice secret;
	bool narrowed; /* there are blocks */
	const struct login_config *all;
	struct map contexts; /* by the texts of tls_settings; before the jail only */
	pthread_mutex_t lock;
	struct map configs; /* by dovecot_filter_key; under LOCK */
} loaded = { .lock = PTHREAD_MUTEX_INITIALIZER, .contexts = MAP_INIT, .configs = MAP_INIT };

/* The reader leaves "<" and the file's name. */
static const char *file_of(const char *name, const char *value)
{
	if (value[0] == '<')
		return value + 1;
	if (value[0] != '\0')
		fatal("%s: the value must be < and the name of a file", name);
	return NULL;
}

static bool has_word(const char *list, const char *want)
{
	struct slice rest = slice_of(list), word;

	while (slice_token(&rest, " ,", &word))
		if (slice_caseeq_str(word, want))
			return true;
	return false;
}

static const char *unless_empty(const char *text)
{
	return text[0] != '\0' ? text : NULL;
}

/*
 * A session that is resumed keeps the word on the client's certificate of the place where it began;
 * with blocks that may have been another one's ssl_ca.
 */
static bool has_tickets(const struct dovecot_settings *set)
{
	return !has_word(set->ssl_options, "no_ticket") &&
	       !(loaded.narrowed && set->ssl_verify_client_cert);
}

static struct tls_context *make_tls(const struct dovecot_settings *set)
{
	struct tls_files files[3] = { { file_of("ssl_cert", set->ssl_cert),
					  file_of("ssl_key", set->ssl_key) },
		{ file_of("ssl_alt_cert", set->ssl_alt_cert),
		    file_of("ssl_alt_key", set->ssl_alt_key) },
		{ NULL, NULL } };
	/* As the peer: the settings of authentication alone make no client show a certificate. */
	bool asks = set->ssl_verify_client_cert;
	struct tls_server_config config = { .files = files,
		.ca_file = file_of("ssl_ca", set->ssl_ca),
		.ask_client_cert = asks,
		.check_crls = asks && set->ssl_require_crl,
		.min_protocol = set->ssl_min_protocol,
		.ciphers = set->ssl_cipher_list,
		.suites = unless_empty(set->ssl_cipher_suites),
		.curves = unless_empty(set->ssl_curve_list),
		.dh_file = file_of("ssl_dh", set->ssl_dh),
		.prefer_server_ciphers = set->ssl_prefer_server_ciphers,
		.session_seconds = has_tickets(set) ? 0 : -1,
		.service = "pop3",
		.ticket_secret = loaded.secret,
		.whole_errors = true };
	struct tls_context *tls;
	struct reason why;

	if (set->ssl[0] == 'n')
		return NULL;
	if (files[0].cert == NULL) {
		log_warning("ssl is on, but ssl_cert names no certificate: TLS is not offered");
		return NULL;
	}
	tls = tls_server_new(&config, &why);
	if (tls == NULL)
		fatal("%s", why.text);
	return tls;
}

static void tls_key(const struct dovecot_settings *set, struct strbuf *key)
{
	for (size_t i = 0; i < ARRAY_LEN(tls_settings); i++)
		strbuf_addf(key, "%s\n", dovecot_setting_text(set, tls_settings[i]));
}

/* After the jail MAY_MAKE is false, and what is not there cannot be made any more. */
static const struct tls_context *find_tls(const struct dovecot_settings *set, bool may_make)
{
	static char none; /* stands for NULL in the map */
	struct strbuf key = STRBUF_INIT(65536);
	void *found;

	tls_key(set, &key);
	found = map_get(&loaded.contexts, strbuf_slice(&key));
	if (found == NULL && may_make) {
		found = make_tls(set);
		if (found == NULL)
			found = &none;
		(void)map_put(&loaded.contexts, strbuf_slice(&key), found);
	}
	strbuf_release(&key);
	return found != &none ? found : NULL;
}

static const struct login_config *evaluate(const struct dovecot_filter *filter, bool may_make)
{
	struct login_config *config = xcalloc(1, sizeof(*config));

	config->set = dovecot_settings_new(loaded.source, filter, NULL);
	config->tls = find_tls(config->set, may_make);
	return config;
}

static const struct login_config *find(const struct dovecot_filter *filter, bool may_make)
{
	struct strbuf key = STRBUF_INIT(65536);
	const struct login_config *config;

	if (!loaded.narrowed)
		return loaded.all;
	dovecot_filter_key(loaded.source, filter, &key);
	pthread_mutex_lock(&loaded.lock);
	config = map_get(&loaded.configs, strbuf_slice(&key));
	if (config == NULL) {
		config = evaluate(filter, may_make);
		(void)map_put(&loaded.configs, strbuf_slice(&key), (void *)(uintptr_t)config);
	}
	pthread_mutex_unlock(&loaded.lock);
	strbuf_release(&key);
	return config;
}

/* ---- one client of each kind ---- */

struct examples {
	const char *list[LABELS_MAX + 1]; /* the first is NULL: no such block */
	size_t count;
};

static char *example_of(struct slice label)
{
	ptrdiff_t slash = slice_find(label, '/');

	/* "*.example.com": one of them. */
	if (slice_starts(label, "*."))
		return xasprintf("x%.*s", SLICE_ARG(slice_from(label, 1)));
	if (slash >= 0)
		label = slice_first(label, (size_t)slash);
	return xstrndup(label.ptr, label.len);
}

static void find_examples(const char *kind, struct examples *examples)
{
	const char *labels[LABELS_MAX];
	size_t count = dovecot_filter_labels(loaded.source, kind, labels, LABELS_MAX);
	struct slice word;

	*examples = (struct examples){ .count = 1 };
	for (size_t i = 0; i < count; i++) {
		struct slice rest = slice_of(labels[i]);

		while (examples->count <= LABELS_MAX && slice_token(&rest, " \t", &word))
			examples->list[examples->count++] = example_of(word);
	}
	loaded.narrowed = loaded.narrowed || count > 0;
}

static void load_places(
    const struct examples *locals, const struct examples *names, const struct examples *remotes)
{
	size_t places = 0;

	for (size_t i = 0; i < locals->count; i++)
		for (size_t k = 0; k < names->count; k++)
			for (size_t j = 0; j < remotes->count && places < PLACES_MAX; j++, places++)
				(void)find(&(struct dovecot_filter){ .protocol = "pop3",
					       .local_ip = locals->list[i],
					       .local_name = names->list[k],
					       .remote_ip = remotes->list[j] },
				    true);
}

static void forget(struct examples *examples)
{
	for (size_t i = 1; i < examples->count; i++)
		free((void *)(uintptr_t)examples->list[i]);
}

void login_config_open(const struct server_context *ctx)
{
	static const struct dovecot_filter filter = { .protocol = "pop3" };
	struct examples locals, names, remotes;

	loaded.source = ctx->dovecot;
	loaded.secret = slice_mem(ctx->secret, SERVER_SECRET_SIZE);
	find_examples("local", &locals);
	find_examples("local_name", &names);
	find_examples("remote", &remotes);
	loaded.all = evaluate(&filter, true);
	if (loaded.narrowed)
		load_places(&locals, &names, &remotes);
	forget(&locals);
	forget(&names);
	forget(&remotes);
}

const struct login_config *login_config_for(
    const struct net_addr *local, const struct net_addr *remote, const char *name)
{
	char lip[NET_ADDR_TEXT], rip[NET_ADDR_TEXT];
	const struct dovecot_filter filter = { .protocol = "pop3",
		.local_name = name,
		.local_ip = net_addr_text(local, lip),
		.remote_ip = net_addr_text(remote, rip) };

	return find(&filter, false);
}

/* ---- networks ---- */

bool login_config_contains(const char *networks, const struct net_addr *addr)
{
	struct slice rest = slice_of(networks), word;
	struct net_block block;

	while (slice_token(&rest, " ,\t", &word))
		if (net_block_parse_any(word, &block) && net_block_contains(&block, addr))
			return true;
	return false;
}
