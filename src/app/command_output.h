/*
 * app/command_output.h - the first line that a command prints, within a deadline.
 * Any thread; waits for the command.
 */
#ifndef IMAPFS_APP_COMMAND_OUTPUT_H
#define IMAPFS_APP_COMMAND_OUTPUT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

/*
 * Runs the command line (split as a shell splits words, but no shell runs) with no standard input,
 * in a session of its own and in "/", and appends its first line without the line end. AUTH EACCES:
 * it cannot be started, fails, says nothing, too much, or not in time; then it is killed.
 */
int command_first_line(
    const char *command_line, int64_t deadline_ms, struct buf *ret, struct err *why) MUST_USE;

#endif
