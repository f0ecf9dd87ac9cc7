// SPDX-License-Identifier: BSD-2-Clause
/*
 * A memory file of sealed size, sparse: only slots of threads that ran take pages.  The reader uses
 * pread(2), so that nothing changes under its eyes and holes stay holes.
 */
#include "server/running.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "server/pool.h"

#define READ_AT_ONCE 32

struct slot {
	/* Of a cache line of its own, since its thread writes it at each command. */
	alignas(64) atomic_uint running;
	unsigned char family; /* 4, 6; 0: no client */
	unsigned char address[16];
	char message[RUNNING_MESSAGE];
	char user[RUNNING_USER];
};

#define TABLE_SIZE (RUNNING_SLOTS * sizeof(struct slot))

static struct slot *table;

int running_new(void)
{
	int fd = memfd_create("postcote-running", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int saved;

	if (fd < 0)
		return -1;
	if (ftruncate(fd, TABLE_SIZE) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* ---- in the process ---- */

bool running_attach(int fd)
{
	struct slot *mapped;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	if (st.st_size < (off_t)TABLE_SIZE) {
		errno = EINVAL;
		return false;
	}
	mapped = mmap(NULL, TABLE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED)
		return false;
	running_detach();
	table = mapped;
	return true;
}

void running_detach(void)
{
	if (table != NULL)
		munmap(table, TABLE_SIZE);
	table = NULL;
}

static struct slot *own_slot(void)
{
	unsigned number = pool_thread_number();

	return table == NULL || number >= RUNNING_SLOTS ? NULL : &table[number];
}

static void set_client(struct slot *slot, const struct net_addr *client)
{
	slot->family = 0;
	if (client == NULL || client->len == 0)
		return;
	if (client->ss.ss_family == AF_INET) {
		slot->family = 4;
		memcpy(slot->address, &((const struct sockaddr_in *)&client->ss)->sin_addr, 4);
	} else if (client->ss.ss_family == AF_INET6) {
		slot->family = 6;
		memcpy(slot->address, &((const struct sockaddr_in6 *)&client->ss)->sin6_addr, 16);
	}
}

static void set_text(char *to, size_t size, const char *text)
{
	size_t len = text == NULL ? 0 : strnlen(text, size - 1);

	if (len > 0)
		memcpy(to, text, len);
	to[len] = '\0';
}

void running_begin(const struct running_who *who)
{
	struct slot *slot = own_slot();

	if (slot == NULL)
		return;
	set_client(slot, who->client);
	set_text(slot->message, sizeof(slot->message), who->message);
	set_text(slot->user, sizeof(slot->user), who->user);
	atomic_store_explicit(&slot->running, 1, memory_order_release);
}

void running_end(void)
{
	struct slot *slot = own_slot();

	if (slot != NULL)
		atomic_store_explicit(&slot->running, 0, memory_order_release);
}

void running_again(void)
{
	struct slot *slot = own_slot();

	if (slot != NULL)
		atomic_store_explicit(&slot->running, 1, memory_order_release);
}

/* ---- names ---- */

static const char *name_text(const char *what, const char *text, size_t max, char out[RUNNING_NAME])
{
	int begin = snprintf(out, RUNNING_NAME, "%s ", what);
	size_t len = strnlen(text, max);

	ASSERT(begin > 0 && (size_t)begin + len < RUNNING_NAME);
	for (size_t i = 0; i < len; i++)
		out[(size_t)begin + i] = text[i] > ' ' && text[i] < 0x7f ? text[i] : '?';
	out[(size_t)begin + len] = '\0';
	return out;
}

const char *running_user_name(const char *user, char out[RUNNING_NAME])
{
	return name_text("user", user, RUNNING_USER - 1, out);
}

const char *running_message_name(const char *message, char out[RUNNING_NAME])
{
	return name_text("message", message, RUNNING_MESSAGE - 1, out);
}

static const char *address_name(int family, const unsigned char address[16], char out[RUNNING_NAME])
{
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	char text[NET_ADDR_TEXT];
	struct net_addr addr;

	if (family == 4) {
		memcpy(&in4.sin_addr, address, 4);
		addr = net_addr_of((const struct sockaddr *)&in4, sizeof(in4));
	} else {
		/* One client has as many addresses as it likes there. */
		memcpy(&in6.sin6_addr, address, 8);
		addr = net_addr_of((const struct sockaddr *)&in6, sizeof(in6));
	}
	snprintf(
	    out, RUNNING_NAME, "client %s%s", net_addr_text(&addr, text), family == 4 ? "" : "/64");
	return out;
}

const char *running_client_name(const struct net_addr *client, char out[RUNNING_NAME])
{
	struct slot slot;

	set_client(&slot, client);
	if (slot.family == 0)
		return name_text("client", "unknown", RUNNING_USER - 1, out);
	return address_name(slot.family, slot.address, out);
}

/* ---- reading ---- */

static size_t read_slot(
    const struct slot *slot, void (*each)(const char *name, void *arg), void *arg)
{
	char name[RUNNING_NAME];
	size_t n = 0;

	if (atomic_load_explicit(&slot->running, memory_order_relaxed) == 0)
		return 0;
	if (slot->family == 4 || slot->family == 6) {
		each(address_name(slot->family, slot->address, name), arg);
		n++;
	}
	if (slot->user[0] != '\0') {
		each(running_user_name(slot->user, name), arg);
		n++;
	}
	if (slot->message[0] != '\0') {
		each(running_message_name(slot->message, name), arg);
		n++;
	}
	return n;
}

size_t running_read(int fd, void (*each)(const char *name, void *arg), void *arg)
{
	struct slot slots[READ_AT_ONCE];
	size_t n = 0;

	for (size_t at = 0; at < TABLE_SIZE; at += sizeof(slots)) {
		if (pread(fd, slots, sizeof(slots), (off_t)at) != (ssize_t)sizeof(slots))
			break;
		for (size_t i = 0; i < READ_AT_ONCE; i++)
			n += read_slot(&slots[i], each, arg);
	}
	return n;
}
