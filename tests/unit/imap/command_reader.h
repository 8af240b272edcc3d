/*
 * command_reader.h - reads a command as a server does, written from RFC 9051 9 and not from the
 * builder: what the builder's tests and its fuzz target compare with.
 */
#ifndef IMAPFS_TESTS_COMMAND_READER_H
#define IMAPFS_TESTS_COMMAND_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/buf.h"

#define ARGS_MAX 16

struct parsed {
    struct buf args[ARGS_MAX]; /* decoded; the tag first */
    bool is_string[ARGS_MAX];
    size_t count;
    size_t waits[ARGS_MAX]; /* offsets behind a synchronising literal's announcement */
    size_t wait_count;
    size_t unwaited_max; /* the largest {n+} */
};

static inline void parsed_finish(struct parsed *parsed)
{
    for (size_t i = 0; i < ARGS_MAX; i++) {
        buf_finish(&parsed->args[i]);
    }
}

/* Each gives the offset behind what it read, 0 if it is not there. */
static inline size_t parse_quoted(const char *bytes, size_t len, size_t at, struct buf *arg)
{
    for (size_t i = at + 1; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '"') {
            return i + 1;
        }
        if (c == '\\') {
            i++;
            if (i == len || (bytes[i] != '"' && bytes[i] != '\\')) {
                return 0;
            }
        } else if (c == '\r' || c == '\n' || c == 0 || c > 0x7f) {
            return 0;
        }
        buf_append_char(arg, bytes[i]);
    }
    return 0;
}

static inline size_t parse_literal(const char *bytes, size_t len, size_t at, struct parsed *parsed)
{
    size_t size = 0;
    size_t i = at + 1;
    while (i < len && bytes[i] >= '0' && bytes[i] <= '9') {
        size = size * 10 + (size_t)(bytes[i++] - '0');
    }
    bool unwaited = i < len && bytes[i] == '+';
    i += unwaited ? 1 : 0;
    if (i == at + 1 || len - i < 3 || memcmp(bytes + i, "}\r\n", 3) != 0 || len - i - 3 < size) {
        return 0;
    }
    i += 3;
    if (unwaited) {
        parsed->unwaited_max = size > parsed->unwaited_max ? size : parsed->unwaited_max;
    } else {
        parsed->waits[parsed->wait_count++] = i;
    }
    if (memchr(bytes + i, 0, size) != NULL) {
        return 0;
    }
    buf_append(&parsed->args[parsed->count], bytes + i, size);
    return i + size;
}

static inline size_t parse_plain(const char *bytes, size_t len, size_t at, struct buf *arg)
{
    size_t i = at;
    while (i < len && bytes[i] > 0x20 && bytes[i] < 0x7f) {
        buf_append_char(arg, bytes[i++]);
    }
    return i > at ? i : 0;
}

/* Whether the bytes are one command and nothing else. */
static inline bool parse_command(const char *bytes, size_t len, struct parsed *parsed)
{
    size_t at = 0;
    while (parsed->count < ARGS_MAX) {
        struct buf *arg = &parsed->args[parsed->count];
        char c = at < len ? bytes[at] : '\0';
        parsed->is_string[parsed->count] = c == '"' || c == '{';
        if (c == '"') {
            at = parse_quoted(bytes, len, at, arg);
        } else if (c == '{') {
            at = parse_literal(bytes, len, at, parsed);
        } else {
            at = parse_plain(bytes, len, at, arg);
        }
        if (at == 0) {
            return false;
        }
        parsed->count++;
        if (len - at == 2 && memcmp(bytes + at, "\r\n", 2) == 0) {
            return true;
        }
        if (at == len || bytes[at] != ' ') {
            return false;
        }
        at++;
    }
    return false;
}

#endif
