/* SPDX-License-Identifier: MIT */
#include "tools/sweep_list.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "tools/sweep_words.h"
#include "tools/target.h"
#include "tools/text.h"

#define LOOKUPS_MAX 256 /* at once: twice as many answers fit into what the kernel keeps of them */
#define SCOPES_MAX 1024

/* A name that is looked up, or waits for its turn. */
struct asked {
    uint32_t place, text;
    bool known;
};

struct list {
    struct events *events;
    struct names *names;
    int family;
    struct list_user user;
    const struct ranges *exclude; /* of both families; NULL: nobody is */

    struct swept *all;
    size_t count, room;
    uint32_t *index; /* places in `all`, + 1, by the hash of their addresses; index_size is a power of two */
    size_t index_size;

    char *texts; /* struct link, one behind the other, from 1 */
    size_t texts_used, texts_room;
    char (*scopes)[sizeof((struct target *)0)->scope]; /* from 1 */
    uint16_t scope_count;

    struct asked *asked;
    size_t asked_count, asked_room;
    size_t next_asked; /* those before it have been handed to the resolver */
    size_t under_way;
    bool asking;

    struct lost *lost;
    size_t lost_count, lost_room;

    uint32_t words;
    size_t largest;
    struct words *input;
    bool closed;
};

static void *
checked(void *memory)
{
    if (!memory)
        err(2, NULL);
    return memory;
}

/* ARRAY with room for one more behind COUNT of them. */
static void *
grown(void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return array;
    *room = *room ? 2 * *room : 16;
    return checked(realloc(array, *room * size));
}

/* ---- names: each with the place of the next one of the same address */

#define LINK_SIZE sizeof(uint32_t)

static uint32_t
keep_text(struct list *list, const char *text)
{
    size_t size = LINK_SIZE + strlen(text) + 1;
    if (!list->texts_used)
        list->texts_used = 1;
    if (list->texts_used + size > UINT32_MAX)
        errx(2, "too many names");
    if (list->texts_used + size > list->texts_room) {
        list->texts_room = 2 * list->texts_room + size + 256;
        list->texts = checked(realloc(list->texts, list->texts_room));
    }
    uint32_t at = (uint32_t)list->texts_used;
    memset(list->texts + at, 0, LINK_SIZE);
    memcpy(list->texts + at + LINK_SIZE, text, size - LINK_SIZE);
    list->texts_used += size;
    return at;
}

static const char *
text_at(const struct list *list, uint32_t at)
{
    return list->texts + at + LINK_SIZE;
}

static uint32_t
text_behind(const struct list *list, uint32_t at)
{
    uint32_t next;
    memcpy(&next, list->texts + at, LINK_SIZE);
    return next;
}

/* Puts TEXT behind the other names of an address, unless it is one of them. */
static void
add_name(struct list *list, struct swept *swept, uint32_t text)
{
    uint32_t last = 0;
    for (uint32_t at = swept->name; at; at = text_behind(list, at)) {
        if (at == text || strcmp(text_at(list, at), text_at(list, text)) == 0)
            return;
        last = at;
    }
    if (last)
        memcpy(list->texts + last, &text, LINK_SIZE);
    else
        swept->name = text;
    if (swept->answered)
        list->user.named(list->user.owner, swept, text_at(list, text));
}

/* ---- addresses */

static size_t
hash_of(const struct swept *swept)
{
    uint64_t half[2];
    memcpy(half, swept->address.bytes, sizeof half);
    uint64_t mixed = (half[0] ^ (half[1] * UINT64_C(0x9e3779b97f4a7c15)) ^ swept->scope) * UINT64_C(0xff51afd7ed558ccd);
    return (size_t)(mixed ^ mixed >> 29);
}

static bool
is_same(const struct swept *one, const struct swept *other)
{
    return one->family == other->family && one->scope == other->scope && address_same(&one->address, &other->address);
}

/* Where it stands in the index, or would stand. */
static uint32_t *
place_of(const struct list *list, const struct swept *swept)
{
    for (size_t at = hash_of(swept);; at++) {
        uint32_t *place = &list->index[at & (list->index_size - 1)];
        if (!*place || is_same(&list->all[*place - 1], swept))
            return place;
    }
}

static void
grow_index(struct list *list)
{
    if (list->count * 4 < list->index_size * 3)
        return;
    list->index_size = list->index_size ? 2 * list->index_size : 64;
    free(list->index);
    list->index = checked(calloc(list->index_size, sizeof *list->index));
    for (size_t i = 0; i < list->count; i++)
        *place_of(list, &list->all[i]) = (uint32_t)i + 1;
}

static uint16_t
scope_number(struct list *list, const char *scope)
{
    if (!*scope)
        return 0;
    for (uint16_t i = 0; i < list->scope_count; i++)
        if (strcmp(list->scopes[i], scope) == 0)
            return (uint16_t)(i + 1);
    if (list->scope_count == SCOPES_MAX)
        errx(2, "more than %d interfaces", SCOPES_MAX);
    list->scopes = checked(realloc(list->scopes, (list->scope_count + 1u) * sizeof *list->scopes));
    snprintf(list->scopes[list->scope_count], sizeof *list->scopes, "%s", scope);
    return ++list->scope_count;
}

static bool
is_excluded(const struct list *list, enum family_id family, const struct address *address)
{
    return list->exclude && ranges_hold(&list->exclude[family], address);
}

/* NAME is kept text, 0: it was given as an address. */
static void
add_address(struct list *list, const struct target *target, const struct address *address, uint32_t place, uint32_t name)
{
    struct swept fresh = { .address = *address, .family = (uint8_t)target->family, .place = place };
    if (is_excluded(list, target->family, address))
        return;
    fresh.scope = scope_number(list, target->scope);
    grow_index(list);
    uint32_t *slot = place_of(list, &fresh);
    if (!*slot) {
        if (list->count == UINT32_MAX - 1)
            errx(2, "too many targets");
        list->all = grown(list->all, list->count, &list->room, sizeof *list->all);
        list->all[list->count++] = fresh;
        *slot = (uint32_t)list->count;
    }
    if (name)
        add_name(list, &list->all[*slot - 1], name);
}

static void
add_all(struct list *list, const struct target *target, uint32_t place)
{
    struct address address = target->first;
    size_t before = list->count;
    for (int64_t left = target->count; left > 0; left--) {
        add_address(list, target, &address, place, 0);
        for (size_t i = families[target->family].address_size; i-- > 0 && ++address.bytes[i] == 0;)
            ;
    }
    if (list->count - before > list->largest)
        list->largest = list->count - before;
}

/* ---- words that stand for nothing */

static void
lose(struct list *list, uint32_t place, bool is_name, const char *word, const char *why)
{
    char clean[NAME_TEXT_MAX];
    struct lost lost = { place, is_name, checked(strdup(text_printable(word, clean, sizeof clean))), checked(strdup(why)) };
    list->lost = grown(list->lost, list->lost_count, &list->lost_room, sizeof *list->lost);
    /* Names become known in any order. */
    size_t at = list->lost_count++;
    for (; at > 0 && list->lost[at - 1].place > place; at--)
        list->lost[at] = list->lost[at - 1];
    list->lost[at] = lost;
    list->user.lost(list->user.owner, &list->lost[at]);
}

/* ---- names are looked up */

static void look_up_more(struct list *list);

static void
found(void *owner, uint64_t tag, char (*addresses)[ADDRESS_TEXT_MAX], size_t count, const char *why)
{
    struct list *list = owner;
    struct asked *asked = &list->asked[tag];
    struct target target = { .kind = TARGET_WRONG };
    asked->known = true;
    list->under_way--;
    if (count)
        target = target_read(addresses[0], 0);
    if (target.kind == TARGET_ADDRESS && !is_excluded(list, target.family, &target.first)) {
        add_address(list, &target, &target.first, asked->place, asked->text);
    } else {
        char *word = checked(strdup(text_at(list, asked->text)));
        lose(list, asked->place, true, word, target.kind == TARGET_ADDRESS ? "its address is excluded" : count ? "no address found" : why);
        free(word);
    }
    look_up_more(list);
    list->user.grew(list->user.owner);
}

/* found() may be called at once, from inside here. */
static void
look_up_more(struct list *list)
{
    if (list->asking)
        return;
    list->asking = true;
    while (list->under_way < LOOKUPS_MAX && list->next_asked < list->asked_count) {
        char name[4 * NAME_TEXT_MAX]; /* the texts may move */
        size_t number = list->next_asked++;
        snprintf(name, sizeof name, "%s", text_at(list, list->asked[number].text));
        list->under_way++;
        names_addresses(list->names, name, list->family, found, list, number);
    }
    list->asking = false;
}

/* ---- words */

static void
add_word(struct list *list, const char *word)
{
    struct target target = target_read(word, list->family);
    uint32_t place = list->words++;
    switch (target.kind) {
    case TARGET_NAME:
        list->asked = grown(list->asked, list->asked_count, &list->asked_room, sizeof *list->asked);
        list->asked[list->asked_count++] = (struct asked){ .place = place, .text = keep_text(list, word) };
        look_up_more(list);
        break;
    case TARGET_ADDRESS:
    case TARGET_BLOCK:
        add_all(list, &target, place);
        break;
    case TARGET_WRONG:
        lose(list, place, false, word, target.why);
        break;
    }
}

void
list_exclude(struct list *list, const struct ranges exclude[FAMILIES])
{
    list->exclude = exclude;
}

void
list_add(struct list *list, const char *word)
{
    add_word(list, word);
    list->user.grew(list->user.owner);
}

void
list_refuse(struct list *list, const char *word, const char *why)
{
    lose(list, list->words++, false, word, why);
}

void
list_close(struct list *list)
{
    if (list->closed)
        return;
    list->closed = true;
    list->user.grew(list->user.owner);
}

static void
read_word(void *owner, const char *word)
{
    add_word(owner, word);
}

static void
read_some(void *owner)
{
    struct list *list = owner;
    list->user.grew(list->user.owner);
}

static void
read_all(void *owner)
{
    list_close(owner);
}

void
list_read(struct list *list, int descriptor)
{
    list->input = words_read(list->events, descriptor, (struct words_user){ read_word, read_some, read_all, list });
}

/* ---- what others see */

struct list *
list_new(struct events *events, struct names *names, int family, struct list_user user)
{
    struct list *list = checked(calloc(1, sizeof *list));
    *list = (struct list){ .events = events, .names = names, .family = family, .user = user };
    return list;
}

void
list_free(struct list *list)
{
    if (!list)
        return;
    for (size_t i = 0; i < list->lost_count; i++) {
        free(list->lost[i].word);
        free(list->lost[i].why);
    }
    free(list->lost);
    free(list->all);
    free(list->index);
    free(list->texts);
    free(list->scopes);
    free(list->asked);
    words_free(list->input);
    free(list);
}

bool
list_is_complete(const struct list *list)
{
    return list->closed && !list_waiting(list);
}

size_t
list_count(const struct list *list)
{
    return list->count;
}

size_t
list_largest(const struct list *list)
{
    return list->largest;
}

struct swept *
list_at(struct list *list, size_t number)
{
    return &list->all[number];
}

const struct swept *
list_find(const struct list *list, enum family_id family, const struct address *address)
{
    struct swept swept = { .address = *address, .family = (uint8_t)family };
    uint32_t place = list->count ? *place_of(list, &swept) : 0;
    return place ? &list->all[place - 1] : NULL;
}

const char *
list_address(const struct list *list, const struct swept *swept, char buffer[64])
{
    struct target target = { .family = swept->family, .first = swept->address };
    if (swept->scope)
        memcpy(target.scope, list->scopes[swept->scope - 1], sizeof target.scope);
    return target_address(&target, 0, buffer);
}

size_t
list_print_names(const struct list *list, const struct swept *swept, FILE *to)
{
    size_t count = 0;
    for (uint32_t at = swept->name; at; at = text_behind(list, at))
        fprintf(to, "%s%s", count++ ? " " : "", text_at(list, at));
    return count;
}

const char *
list_name(const struct list *list, const struct swept *swept)
{
    return swept->name ? text_at(list, swept->name) : NULL;
}

static int
compare(const void *a, const void *b)
{
    const struct swept *one = *(struct swept *const *)a, *other = *(struct swept *const *)b;
    return one->place != other->place ? (one->place < other->place ? -1 : 1) : one < other ? -1 : one > other;
}

/* Without names it is in that order. */
void
list_visit(struct list *list, void (*visit)(void *owner, struct swept *swept), void *owner)
{
    struct swept **order = list->asked_count ? malloc((list->count + 1) * sizeof(struct swept *)) : NULL;
    for (size_t i = 0; order && i < list->count; i++)
        order[i] = &list->all[i];
    if (order)
        qsort(order, list->count, sizeof(struct swept *), compare);
    for (size_t i = 0; i < list->count; i++)
        visit(owner, order ? order[i] : &list->all[i]);
    free(order);
}

size_t
list_lost_count(const struct list *list)
{
    return list->lost_count;
}

const struct lost *
list_lost(const struct list *list, size_t number)
{
    return &list->lost[number];
}

size_t
list_waiting(const struct list *list)
{
    return list->asked_count - list->next_asked + list->under_way;
}

void
list_visit_waiting(const struct list *list, void (*visit)(void *owner, const char *name), void *owner)
{
    for (size_t i = 0; i < list->asked_count; i++)
        if (!list->asked[i].known)
            visit(owner, text_at(list, list->asked[i].text));
}
