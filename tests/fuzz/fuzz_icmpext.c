/* SPDX-License-Identifier: MIT */
/*
 * The body of an ICMP error: its extensions, their objects and labels, and the reply that says these.
 * Input: what the length field says; options; then the body.
 */
#include <stdlib.h>

#include "lines/reply.h"
#include "packets/icmpext.h"
#include "support.h"

#define HEADER_SIZE 4 /* of the structure, of an object, and of a label */

static size_t
count_labels(struct reader stack)
{
    struct mpls_label label;
    size_t count = 0;
    for (; mpls_next(&stack, &label); count++)
        MUST(label.label < 1u << 20 && label.traffic_class < 8);
    MUST(stack.left < HEADER_SIZE);
    return count;
}

/* Returns the labels in all of them. */
static size_t
walk(struct reader objects)
{
    size_t labels = 0;
    struct extension extension;
    struct reader before = objects;
    while (extension_next(&objects, &extension)) {
        MUST(is_inside(extension.payload, before.at + HEADER_SIZE, before.left - HEADER_SIZE));
        MUST(objects.at == extension.payload.at + extension.payload.left);
        MUST(objects.left == before.left - HEADER_SIZE - extension.payload.left);
        if (extension_is_mpls(&extension))
            labels += count_labels(extension.payload);
        before = objects;
    }
    MUST(objects.at == before.at && objects.left == before.left);
    return labels;
}

/* Every label that fits in a reply is said, and nothing else. */
static void
check_words(struct reader objects, size_t labels)
{
    char line[REPLY_MAX];
    struct reply reply = { .answered = true, .extensions = objects, .mtu = UINT32_MAX };
    size_t length = reply_write(&reply, false, line);
    size_t commas = 0;
    check_reply(line, length);
    for (size_t i = 0; i < length; i++)
        commas += line[i] == ',';
    size_t said = (commas + 1) / HEADER_SIZE;
    MUST(labels == 0 ? commas == 0 : (commas + 1) % HEADER_SIZE == 0 && said <= labels);
    MUST(said == labels || length > REPLY_MAX - 64);
}

/* Where the extensions begin if there are any: as words, as bytes where words can't be, else at the place of the form. */
static size_t
start_of(size_t size, uint8_t length, bool v6, bool translated)
{
    if (length)
        return length * (v6 ? 8u : 4u) <= size ? length * (v6 ? 8u : 4u) : length;
    return translated ? (v6 ? 148 : 108) : 128;
}

static void
check_parts(const uint8_t *bytes, size_t size, uint8_t length, bool v6, struct reader body, struct reader objects)
{
    size_t at = start_of(size, length, v6, false);
    MUST(body.at == bytes);
    if (!objects.at) {
        MUST(objects.left == 0 && body.left == size);
        return;
    }
    if (body.left != at)
        at = start_of(size, length, v6, true);
    MUST(body.left == at && objects.at == bytes + at + HEADER_SIZE && objects.at + objects.left == bytes + size);
    bool unproven = bytes[at + 2] == 0 && bytes[at + 3] == 0;
    MUST(bytes[at] >> 4 == 2 && (unproven ? length != 0 : plain_sum(0, bytes + at, size - at) == 0xffff));
    if (at == length) { /* counted in bytes */
        struct extension extension;
        while (extension_next(&objects, &extension))
            ;
        MUST(at >= 128 && objects.left == 0 && size > at + HEADER_SIZE);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader input = { data, size };
    uint8_t length = take_u8(&input), options = take_u8(&input);
    bool v6 = options & 2;
    size_t size_left = input.left, at = start_of(size_left, length, v6, options & 4);
    uint8_t *bytes = copy_bytes(input.at, size_left);
    if ((options & 1) && size_left > at)
        mend_checksum(0, bytes + at, size_left - at, 2);

    struct reader body = { bytes, size_left };
    struct reader objects = icmp_extensions(&body, v6 ? IPV6 : IPV4, length);
    check_parts(bytes, size_left, length, v6, body, objects);
    if (objects.at)
        check_words(objects, walk(objects));
    walk((struct reader){ bytes, size_left }); /* objects that nothing vouches for */
    free(bytes);
    return 0;
}
