// SPDX-License-Identifier: BSD-2-Clause
/* The list of parameters beyond what postfix_conf.h shows of it. */
#ifndef PC_CONF_POSTFIX_PARAM_LIST_H
#define PC_CONF_POSTFIX_PARAM_LIST_H

#include "base/slice.h"
#include "conf/postfix_conf.h"

/* Where ROW's value lies in PARAMS. */
void *postfix_param_member(struct postfix_params *params, const struct postfix_param_row *row);

/* The endings of the names that a delivery service defines: "_destination_recipient_limit" ... */
size_t postfix_transport_form_count(void);
const char *postfix_transport_form(size_t i);
/*
 * For "maildrop_destination_recipient_limit" the name of the parameter whose value it has by
 * default and, in TRANSPORT, "maildrop" (within NAME); NULL for a name without such an ending.
 */
const char *postfix_transport_fallback(const char *name, struct slice *transport);

/* The known name that NAME is most likely meant to be, or NULL.  Compares with the whole list. */
const char *postfix_param_nearest(const char *name);

#endif
