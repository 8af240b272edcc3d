/*
 * app/settings.h - what a person asked for: the command line, `-o` options and the configuration
 * file, in one struct.
 *
 * Main thread only; reads the configuration file, nothing else. Every refusal is one sentence that
 * names what to do.
 */
#ifndef IMAPFS_APP_SETTINGS_H
#define IMAPFS_APP_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "app/source.h"
#include "base/cleanup.h"
#include "base/err.h"

struct settings {
    struct source source;
    char *mountpoint;
    bool foreground;
    bool debug;
    bool show_help, show_version;

    char *password_command;
    char *netrc;
    char *auth;
    char *tls_ca;
    char *tls_pin;
    char *cache_dir;
    char *state_dir;
    char **include; /* NULL-ended, or NULL */
    char **exclude;
    int64_t connections;
    int64_t cache_size_bytes;
    int64_t timeout_s;
    int64_t max_age_s;
    int64_t uid, gid;
    int64_t umask;
    bool subscribed;
    bool allow_other;
};

/*
 * Reads argv (fuse_opt's conventions, as sshfs: -f -d -h -V -o a,b=c SOURCE MOUNTPOINT) and the
 * configuration file
 * (`config_path`, NULL: $XDG_CONFIG_HOME/imapfs/config). The command line wins over the account's
 * section, that over [defaults]. LOCAL EINVAL (usage), EACCES (a file others may write), ENOENT (no
 * such account).
 */
int settings_read(
    struct settings *ret, int argc, char **argv, const char *config_path, struct err *why) MUST_USE;
void settings_finish(struct settings *settings);

/* The options with their meaning, for --help. */
void settings_print_help(const char *program);

#endif
