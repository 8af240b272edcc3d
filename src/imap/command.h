/*
 * imap/command.h - the one builder of everything that is sent: no name, flag or text can become a
 * second command.
 *
 * A command is built in memory as pieces; a synchronising literal ends a piece, and the session
 * waits for "+" between pieces. A string with NUL is refused (-EINVAL from command_finish). One
 * owner, no locks.
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
    bool bad;          /* something could not be said */
    bool literal_plus; /* the server has LITERAL+ or LITERAL-: short literals need no "+" */
};

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
