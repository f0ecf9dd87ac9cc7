// SPDX-License-Identifier: BSD-2-Clause
/*
 * Intrusive doubly linked list.  The head is a struct list of its own; an element embeds a
 * struct list.  An element that is on no list points at itself after list_init or list_del.
 */
#ifndef PC_BASE_LIST_H
#define PC_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(head)                                                                            \
	{                                                                                          \
		&(head), &(head)                                                                   \
	}
#define list_entry(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define list_for_each(pos, head)                                                                   \
	for (struct list *pos = (head)->next; pos != (head); pos = pos->next)
/* The element at POS may be deleted in the body. */
#define list_for_each_safe(pos, tmp, head)                                                         \
	for (struct list *pos = (head)->next, *tmp = pos->next; pos != (head);                     \
	     pos = tmp, tmp = pos->next)

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *head)
{
	return head->next == head;
}

static inline void list_add_between(struct list *l, struct list *prev, struct list *next)
{
	next->prev = l;
	l->next = next;
	l->prev = prev;
	prev->next = l;
}

static inline void list_add_head(struct list *head, struct list *l)
{
	list_add_between(l, head, head->next);
}

static inline void list_add_tail(struct list *head, struct list *l)
{
	list_add_between(l, head->prev, head);
}

static inline void list_del(struct list *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	list_init(l);
}

#endif
