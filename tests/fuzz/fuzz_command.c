/*
 * fuzz_command.c: whatever strings a command is made of, a server reads one command with the same
 * strings. The first byte says whether literals need no wait; the strings are split at 0xfe.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../unit/imap/command_reader.h"
#include "imap/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool so, const char *what)
{
    if (!so) {
        (void)fprintf(stderr, "not so: %s\n", what);
        abort();
    }
}

struct given {
    const char *at;
    size_t len;
};

static size_t split(const char *at, size_t len, struct given *given)
{
    size_t count = 0;
    while (count < ARGS_MAX - 1) {
        const char *end = len > 0 ? memchr(at, 0xfe, len) : NULL;
        given[count++] = (struct given){at, end != NULL ? (size_t)(end - at) : len};
        if (end == NULL) {
            break;
        }
        len -= (size_t)(end - at) + 1;
        at = end + 1;
    }
    return count;
}

static void check(const struct command *command, const struct given *given, size_t count)
{
    struct parsed parsed = {.count = 0};
    must(parse_command(command->bytes.data, command->bytes.len, &parsed), "it is one command");
    must(parsed.count == count + 1, "it has as many arguments");
    for (size_t i = 0; i < count; i++) {
        must(parsed.args[i + 1].len == given[i].len &&
                 (given[i].len == 0 ||
                     memcmp(parsed.args[i + 1].data, given[i].at, given[i].len) == 0),
            "each is the same");
    }
    must(parsed.wait_count == command->piece_count, "each literal that must be waited for is");
    for (size_t i = 0; i < parsed.wait_count; i++) {
        must(parsed.waits[i] == command->piece_ends[i], "and at its place");
    }
    must(parsed.unwaited_max <= (command->literal_plus ? 4096 : 0), "no other is");
    parsed_finish(&parsed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct given given[ARGS_MAX];
    size_t count = split((const char *)data + 1, size - 1, given);
    bool has_nul = false;
    struct command command;
    command_begin(&command, "a1", (data[0] & 1) != 0);
    for (size_t i = 0; i < count; i++) {
        has_nul = has_nul || (given[i].len > 0 && memchr(given[i].at, 0, given[i].len) != NULL);
        command_string(&command, given[i].at, given[i].len);
    }
    int r = command_finish(&command);
    must((r == 0) == !has_nul, "exactly a NUL cannot be said");
    if (r == 0) {
        check(&command, given, count);
    }
    command_release(&command);
    return 0;
}
