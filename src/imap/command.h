/*
 * imap/command.h - the one builder of everything that is sent: no name, flag or text can become a
 * second command.
 *
 * A command is built in memory as pieces; a synchronising literal ends a piece, and the session
 * waits for "+" between pieces. A string with NUL, or an empty set of UIDs, is refused (-EINVAL
 * from command_finish). What a string is sent as: printable ASCII below 1,000 bytes quoted, all
 * else a literal. One owner, no locks. RFC 9051 4.3 and 9, RFC 7888.
 */
#ifndef IMAPFS_IMAP_COMMAND_H
#define IMAPFS_IMAP_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "model/uidset.h"

struct command {
    struct buf bytes;   /* tag to CRLF */
    size_t *piece_ends; /* offsets in bytes at which "+" must be awaited before going on */
    size_t piece_count;
    bool bad; /* something could not be said */
    /* The server has LITERAL+ or LITERAL-: literals of at most 4,096 bytes, which both allow, need
     * no "+". Set without the capability the server would read the data as commands. */
    bool literal_plus;
};

/* Makes the command anew (what it held is not freed); the tag is ours, without spaces. */
void command_begin(struct command *command, const char *tag, bool literal_plus);
void command_word(
    struct command *command, const char *word); /* ours, constant: sent as it is after a space */
void command_string(struct command *command, const char *data,
    size_t len); /* quoted where it can be, else a literal */
void command_mailbox(
    struct command *command, const char *raw, size_t len); /* exactly the bytes that LIST gave */
void command_uidset(struct command *command, const struct uidset *set);
void command_number(struct command *command, uint64_t number);
/* CRLF; 0 or -EINVAL. */
int command_finish(struct command *command) MUST_USE;
void command_release(struct command *command);

#endif
