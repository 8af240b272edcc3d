/* clang-format off */
/*
 * imap_script.h - a TLS server on 127.0.0.1 that plays scripts, one for each connection in the
 * order in which they come (the last one again and again).
 *
 * A script is lines:
 *   TLS        takes the handshake
 *   S text     sends the text and CRLF; $T is the tag of the last command, $1 $2 ... of the nth of
 *              this connection; \r \n \" \\ and octal escapes as in C
 *   R text     the same without CRLF
 *   C pattern  awaits a command (tag, space, the rest); the rest must match (fnmatch)
 *   L pattern  awaits a line that is no command
 *   SASL mechanism password iterations how
 *              plays the server's side of SCRAM for the last command; how: sound, forged (a wrong
 *              signature) or silent (no signature at all)
 *   MARK       counts up for imap_script_await
 *   WAIT n     goes on when imap_script_allow was called n times
 *   AUTO       answers every command with OK until the client leaves
 *   EOF        reads until the client leaves
 *   CLOSE      ends the connection without close_notify
 * At the end of a script the connection is closed in good order. What was not as the script says is
 * a failure that imap_script_stop gives.
 */
/* clang-format on */
#ifndef IMAP_SCRIPT_H
#define IMAP_SCRIPT_H

#include <stddef.h>

struct imap_script;
struct tls_context;

struct imap_script *imap_script_start(const char *const *scripts, size_t count);
/* Ends all connections and threads; a copy of the first failure, NULL for none. */
char *imap_script_stop(struct imap_script **script);

const char *imap_script_port(const struct imap_script *script);
/* Trusts the server; owned by the script. */
struct tls_context *imap_script_tls(const struct imap_script *script);

/* Waits until that many MARKs were passed by all connections together. */
void imap_script_await(struct imap_script *script, unsigned marks);
void imap_script_allow(struct imap_script *script);
/* Connections accepted so far. */
unsigned imap_script_connections(struct imap_script *script);
/* No connection is taken from now on: they are refused. Those that are open go on. */
void imap_script_refuse(struct imap_script *script);
void imap_script_listen_again(struct imap_script *script);
/* Copies of all bytes received so far, in the clear and under TLS. */
char *imap_script_heard_clear(struct imap_script *script);
char *imap_script_heard_tls(struct imap_script *script);

#endif
