/* SPDX-License-Identifier: MIT */
/*
 * The targets of a sweep: words become addresses, names are looked up while others are probed, and an address that several
 * words name stands in the list once. Who probes them walks along it, and may meanwhile see it grow.
 */
#ifndef HOPLINE_TOOLS_SWEEP_LIST_H
#define HOPLINE_TOOLS_SWEEP_LIST_H

#include <stdio.h>

#include "tools/names.h"
#include "lines/ranges.h"

/* One address, in 36 bytes. The first part is the list's, the second belongs to those who probe and tell. */
struct swept {
    struct address address;
    uint32_t place;  /* number of the word that named it first */
    uint32_t name;   /* 0: it was not named but given */
    uint16_t scope;  /* 0: none */
    uint8_t family;  /* enum family_id */

    uint8_t answered : 6; /* try number, from 1, whose answer came first; 0: none yet */
    uint8_t flags : 2;    /* sweep_report's; of who has not answered: SWEPT_UNWAITED, its time was not over at the end; and: */
    uint32_t outcome;     /* 0: nothing but silence */
    uint32_t sent;        /* when it was asked first, by sweep_pace's count; 0: not yet */
};

#define SWEPT_UNWAITED 3

/* A word that stands for no address. */
struct lost {
    uint32_t place;
    bool is_name; /* that has no address; else it is no target at all */
    char *word, *why;
};

struct list_user {
    /* The list has grown, or is complete. */
    void (*grew)(void *owner);
    /* Another name of an address that has answered already. */
    void (*named)(void *owner, const struct swept *swept, const char *name);
    /* Of a word that stands for no address; it is kept, too. */
    void (*lost)(void *owner, const struct lost *lost);
    void *owner;
};

struct list;

/* Never NULL: ends the program without memory, here and in all that follows. FAMILY is 4, 6 or 0 for both. */
struct list *list_new(struct events *events, struct names *names, int family, struct list_user user);
void list_free(struct list *list);

/* What is in EXCLUDE, by family and sorted, is passed over from now on; it must outlive the list. */
void list_exclude(struct list *list, const struct ranges exclude[FAMILIES]);

/* A word. */
void list_add(struct list *list, const char *word);

/* Words from a file, until its end: see target_next_word(). */
void list_read(struct list *list, int descriptor);

/* A word that is no target here, though it may be one elsewhere. */
void list_refuse(struct list *list, const char *word, const char *why);

/* There are no other words. */
void list_close(struct list *list);

/* True when nothing more can come. */
bool list_is_complete(const struct list *list);

size_t list_count(const struct list *list);

/* The most that came with one word. */
size_t list_largest(const struct list *list);
struct swept *list_at(struct list *list, size_t number);

/* The one of this address, without a scope; NULL: there is none. */
const struct swept *list_find(const struct list *list, enum family_id family, const struct address *address);

/* Its address, with the scope. BUFFER holds 64 bytes. */
const char *list_address(const struct list *list, const struct swept *swept, char buffer[64]);

/* Its names in the order in which they were found, with blanks between them; returns how many there are. */
size_t list_print_names(const struct list *list, const struct swept *swept, FILE *to);

/* Its first name; NULL: none. */
const char *list_name(const struct list *list, const struct swept *swept);

/* Calls VISIT for each address in the order of the words. */
void list_visit(struct list *list, void (*visit)(void *owner, struct swept *swept), void *owner);

size_t list_lost_count(const struct list *list);
const struct lost *list_lost(const struct list *list, size_t number); /* in the order of the words */

/* Names of which nothing is known yet: how many, and each. */
size_t list_waiting(const struct list *list);
void list_visit_waiting(const struct list *list, void (*visit)(void *owner, const char *name), void *owner);

#endif
