/* SPDX-License-Identifier: MIT */
#include "tools/sweep_words.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/target.h"

#define READ_AT_ONCE (64 * 1024)
#define LINE_MAX_BYTES (16 * 1024 * 1024)

struct words {
    struct events *events;
    struct words_user user;
    struct watch input;
    char *line; /* what was read and not looked at yet */
    size_t line_used, line_room;
    bool begun; /* something was read */
    bool ended;
};

static void
take_line(struct words *words, char *line)
{
    for (char *rest = line, *word; (word = target_next_word(&rest));)
        words->user.word(words->user.owner, word);
}

/* All lines that are whole; at the end of the file the last one may lack its newline. */
static void
take_lines(struct words *words)
{
    char *start = words->line, *end = words->line + words->line_used, *newline;
    while ((newline = memchr(start, '\n', (size_t)(end - start)))) {
        *newline = 0;
        take_line(words, start);
        start = newline + 1;
    }
    words->line_used = (size_t)(end - start);
    memmove(words->line, start, words->line_used);
}

/* Some systems save texts in two bytes a character: half of these are zeros, and no word would be one. */
static void
refuse_other_encodings(struct words *words, size_t count)
{
    if (!words->begun && count >= 2 && (memcmp(words->line, "\xff\xfe", 2) == 0 || memcmp(words->line, "\xfe\xff", 2) == 0))
        errx(2, "the list is UTF-16: save it as UTF-8");
    words->begun = true;
}

static void
end(struct words *words)
{
    words->ended = true;
    events_unwatch(words->events, &words->input);
    words->line[words->line_used] = 0;
    take_line(words, words->line);
    words->user.ended(words->user.owner);
}

static void
input_ready(void *owner, short came)
{
    struct words *words = owner;
    (void)came;
    if (words->line_room - words->line_used < READ_AT_ONCE + 1) {
        words->line_room = 2 * words->line_room + READ_AT_ONCE + 1;
        words->line = realloc(words->line, words->line_room);
        if (!words->line)
            err(2, NULL);
    }
    char *fresh = words->line + words->line_used;
    ssize_t count = read(words->input.descriptor, fresh, READ_AT_ONCE);
    if (count < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (count < 0)
        warn("standard input");
    if (count <= 0) {
        end(words);
        return;
    }
    refuse_other_encodings(words, (size_t)count);
    for (char *at = fresh; (at = memchr(at, 0, (size_t)(fresh + count - at)));)
        *at = ' ';
    words->line_used += (size_t)count;
    take_lines(words);
    if (words->line_used > LINE_MAX_BYTES)
        errx(2, "the list has a line of more than %d bytes", LINE_MAX_BYTES);
    words->user.some(words->user.owner);
}

struct words *
words_read(struct events *events, int descriptor, struct words_user user)
{
    struct words *words = calloc(1, sizeof *words);
    if (!words)
        err(2, NULL);
    *words = (struct words){ .events = events, .user = user };
    words->input = (struct watch){ descriptor, POLLIN, input_ready, words };
    if (!events_watch(events, &words->input))
        err(2, NULL);
    return words;
}

void
words_free(struct words *words)
{
    if (!words)
        return;
    if (!words->ended)
        events_unwatch(words->events, &words->input);
    free(words->line);
    free(words);
}
