#include "imap/command.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* Longer strings are sent as literals: servers bound the length of a line, not of a literal. */
#define QUOTED_MAX 999
/* LITERAL- allows no more than this without "+", LITERAL+ any; one rule serves both (RFC 7888 5).
 */
#define UNWAITED_MAX 4096

/* What is ours and constant may hold nothing that ends a line or a string in C. */
static bool is_plain_word(const char *word)
{
    return word[0] != '\0' && strpbrk(word, "\r\n") == NULL;
}

void command_begin(struct command *command, const char *tag, bool literal_plus)
{
    assert(is_plain_word(tag) && strchr(tag, ' ') == NULL);
    memset(command, 0, sizeof *command);
    command->literal_plus = literal_plus;
    buf_append_text(&command->bytes, tag);
}

void command_word(struct command *command, const char *word)
{
    assert(is_plain_word(word));
    if (!is_plain_word(word)) {
        command->bad = true;
        return;
    }
    buf_append_char(&command->bytes, ' ');
    buf_append_text(&command->bytes, word);
}

/* Printable ASCII and short: what every server reads as a quoted string. */
static bool can_be_quoted(const char *data, size_t len)
{
    if (len > QUOTED_MAX) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)data[i];
        if (c < 0x20 || c > 0x7e) {
            return false;
        }
    }
    return true;
}

static void append_quoted(struct buf *bytes, const char *data, size_t len)
{
    buf_append_char(bytes, '"');
    size_t done = 0;
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '"' || data[i] == '\\') {
            buf_append(bytes, data + done, i - done);
            buf_append_char(bytes, '\\');
            done = i;
        }
    }
    buf_append(bytes, data + done, len - done);
    buf_append_char(bytes, '"');
}

static void append_literal(struct command *command, const char *data, size_t len)
{
    bool unwaited = command->literal_plus && len <= UNWAITED_MAX;
    buf_printf(&command->bytes, "{%zu%s}\r\n", len, unwaited ? "+" : "");
    if (!unwaited) {
        command->piece_ends = alloc_resize(
            command->piece_ends, command->piece_count + 1, sizeof *command->piece_ends);
        command->piece_ends[command->piece_count++] = command->bytes.len;
    }
    buf_append(&command->bytes, data, len);
}

void command_string(struct command *command, const char *data, size_t len)
{
    if (len > 0 && memchr(data, '\0', len) != NULL) {
        command->bad = true; /* only a literal8 could carry it, and few servers take one */
        return;
    }
    buf_append_char(&command->bytes, ' ');
    if (len == 0) {
        buf_append_text(&command->bytes, "\"\"");
    } else if (can_be_quoted(data, len)) {
        append_quoted(&command->bytes, data, len);
    } else {
        append_literal(command, data, len);
    }
}

void command_mailbox(struct command *command, const char *raw, size_t len)
{
    command_string(command, raw, len);
}

void command_uidset(struct command *command, const struct uidset *set)
{
    if (set->count == 0) {
        command->bad = true; /* "UID FETCH  (FLAGS)" would be another command */
        return;
    }
    buf_append_char(&command->bytes, ' ');
    uidset_format(set, &command->bytes);
}

void command_number(struct command *command, uint64_t number)
{
    buf_printf(&command->bytes, " %llu", (unsigned long long)number);
}

int command_finish(struct command *command)
{
    if (command->bad) {
        return -EINVAL;
    }
    buf_append_text(&command->bytes, "\r\n");
    return 0;
}

void command_release(struct command *command)
{
    buf_finish(&command->bytes);
    free(command->piece_ends);
    memset(command, 0, sizeof *command);
}
