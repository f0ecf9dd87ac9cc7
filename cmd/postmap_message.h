// SPDX-License-Identifier: BSD-2-Clause
/* postmap -b and -h: a message's lines as lookup keys, as header_checks(5) would see them. */
#ifndef PC_CMD_POSTMAP_MESSAGE_H
#define PC_CMD_POSTMAP_MESSAGE_H

#include <stdbool.h>

#include "base/slice.h"
#include "conf/postfix_conf.h"

struct postmap_message {
	bool headers; /* each field, with its folds */
	bool body;    /* each line behind a header, the empty one first */
	/* Header and body of each part and of messages in it, too; else only the first header is
	 * one. */
	bool mime;
};

/* Calls KEY for each, in the order of TEXT, a whole message with LF as line ends. */
void postmap_message_keys(const struct postmap_message *what, const struct postfix_params *params,
    struct slice text, void (*key)(struct slice key, void *arg), void *arg);

#endif
