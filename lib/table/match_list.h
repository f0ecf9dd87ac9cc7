// SPDX-License-Identifier: BSD-2-Clause
/*
 * Lists of patterns from main.cf: mydestination, relay_domains, mynetworks, ...
 *
 * Elements are separated by commas and blanks: NAME, .DOMAIN, ADDRESS, NETWORK/PREFIX, !ELEMENT
 * (what it matches is not in the list), /FILE/NAME (its content is part of the list) and TYPE:TABLE
 * (in the list when the table knows the name).  They are tried in order; the first that matches
 * decides.
 *
 * A list is read once, before the jail, and is immutable and safe for all threads afterwards.  A
 * file that cannot be read and a broken network make the list answer MATCH_ERROR for what is not
 * decided before them; a line in the log said why.
 */
#ifndef PC_TABLE_MATCH_LIST_H
#define PC_TABLE_MATCH_LIST_H

#include <stdbool.h>

#include "base/slice.h"
#include "conf/postfix_conf.h"
#include "net/addr.h"

struct match_list;

enum match_result { MATCH_NO, MATCH_YES, MATCH_ERROR };

/*
 * NAME is the parameter's: whether "example.com" also means its subdomains depends on its being in
 * $parent_domain_matches_subdomains (otherwise ".example.com" does).  VALUE is its expanded
 * value.  Never NULL.
 */
struct match_list *match_list_new(
    const struct postfix_params *params, const char *name, const char *value);
void match_list_free(struct match_list *list);
/* Is the list or table NAME in $parent_domain_matches_subdomains? */
bool match_list_has_parents(const struct postfix_params *params, const char *name);
bool match_list_is_empty(const struct match_list *list);

/* A domain or host name: equal, or below .DOMAIN, or a table's key (with parents as above). */
enum match_result match_list_domain(const struct match_list *list, struct slice domain);
/* A string: equal without regard to case, or a table's key. */
enum match_result match_list_string(const struct match_list *list, struct slice string);
/*
 * A client: an address inside of a network, or a name as match_list_domain does.  An unverified
 * NAME is "unknown" or empty and matches nothing.
 */
enum match_result match_list_client(
    const struct match_list *list, struct slice name, const struct net_addr *addr);
/* An address alone; a list element that is a host name never matches. */
enum match_result match_list_addr(const struct match_list *list, const struct net_addr *addr);

#endif
