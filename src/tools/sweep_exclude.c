/* SPDX-License-Identifier: MIT */
#include "tools/sweep_exclude.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/target.h"
#include "tools/text.h"

static void
add_word(const char *path, size_t line, const char *word, struct ranges exclude[FAMILIES])
{
    char clean[200];
    struct target target = target_read_text(word);
    if (target.kind == TARGET_NAME || target.kind == TARGET_WRONG)
        errx(2, "%s, line %zu: %s: %s", path, line, text_printable(word, clean, sizeof clean),
             target.kind == TARGET_NAME ? "not an address, block or range" : target.why);
    if (!ranges_add(&exclude[target.family], &target.first, &target.last))
        err(2, NULL);
}

void
exclude_read(const char *path, struct ranges exclude[FAMILIES])
{
    char *line = NULL;
    size_t size = 0, number = 0;
    ssize_t length;
    FILE *file = fopen(path, "re");
    if (!file)
        err(2, "%s", path);
    while (errno = 0, (length = getline(&line, &size, file)) >= 0) {
        number++;
        if (memchr(line, 0, (size_t)length))
            errx(2, "%s, line %zu: not a text in UTF-8", path, number);
        for (char *rest = line, *word; (word = target_next_word(&rest));)
            add_word(path, number, word, exclude);
    }
    if (ferror(file) || errno)
        err(2, "%s", path);
    free(line);
    fclose(file);
    for (int family = 0; family < FAMILIES; family++)
        ranges_sort(&exclude[family]);
}
