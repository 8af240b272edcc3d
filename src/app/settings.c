#include "app/settings.h"

#include <errno.h>
#include <fuse_log.h>
#include <fuse_opt.h>
#include <glib.h>
#include <limits.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum option_kind {
    OPTION_TEXT,
    OPTION_LIST,
    OPTION_NUMBER,
    OPTION_BYTES,
    OPTION_OCTAL,
    OPTION_FLAG
};

struct option {
    const char *name;
    enum option_kind kind;
    size_t offset; /* of the value in struct settings */
    int64_t least, most;
    const char *meaning;
};

#define AT(member) offsetof(struct settings, member)

static const struct option OPTIONS[] = {
    {"password_command", OPTION_TEXT, AT(password_command), 0, 0,
        "a command with its arguments; the first line it prints is the password"},
    {"netrc", OPTION_TEXT, AT(netrc), 0, 0, "a netrc file with the password (default: ~/.netrc)"},
    {"auth", OPTION_TEXT, AT(auth), 0, 0,
        "SCRAM-SHA-256, SCRAM-SHA-1, PLAIN or LOGIN (default: the best offered)"},
    {"tls_ca", OPTION_TEXT, AT(tls_ca), 0, 0,
        "a PEM file of the only authorities to trust (default: the system's)"},
    {"tls_pin", OPTION_TEXT, AT(tls_pin), 0, 0,
        "sha256//BASE64 of the server's public key, besides the chain"},
    {"connections", OPTION_NUMBER, AT(connections), 1, 16,
        "connections to the server at most (default: 4)"},
    {"timeout", OPTION_NUMBER, AT(timeout_s), 1, 3600,
        "seconds after which waiting ends with an error (default: 30)"},
    {"max_age", OPTION_NUMBER, AT(max_age_s), 0, 86400,
        "seconds a listing is believed (default: 5)"},
    {"cache_size", OPTION_BYTES, AT(cache_size_bytes), 0, INT64_MAX,
        "bytes of message bodies kept, with K, M, G, T (default: 2G)"},
    {"cache_dir", OPTION_TEXT, AT(cache_dir), 0, 0,
        "where bodies are kept (default: $XDG_CACHE_HOME/imapfs)"},
    {"state_dir", OPTION_TEXT, AT(state_dir), 0, 0,
        "where the index is kept (default: $XDG_STATE_HOME/imapfs)"},
    {"subscribed", OPTION_FLAG, AT(subscribed), 0, 0, "show subscribed mailboxes only"},
    {"include", OPTION_LIST, AT(include), 0, 0,
        "show only mailboxes whose path matches a glob (may be repeated)"},
    {"exclude", OPTION_LIST, AT(exclude), 0, 0,
        "hide mailboxes whose path matches a glob (may be repeated)"},
    {"uid", OPTION_NUMBER, AT(uid), 0, UINT32_MAX - 1, "owner of the files (default: you)"},
    {"gid", OPTION_NUMBER, AT(gid), 0, UINT32_MAX - 1, "group of the files (default: yours)"},
    {"umask", OPTION_OCTAL, AT(umask), 0, 0777, "permission bits to take away (default: 077)"},
    {"allow_other", OPTION_FLAG, AT(allow_other), 0, 0,
        "let other users in, as far as the permission bits allow"},
};

/* What mount(8), fstab and systemd hand through, and what this mount does anyway. */
static const char *const PASSED_OVER[] = {"ro", "rw", "auto", "noauto", "user", "nouser", "users",
    "_netdev", "nofail", "defaults", "dev", "nodev", "suid", "nosuid", "exec", "noexec", "atime",
    "noatime", "relatime", "async", "default_permissions", NULL};

static const struct option *option_find(const char *name, size_t len)
{
    for (size_t i = 0; i < G_N_ELEMENTS(OPTIONS); i++) {
        if (strlen(OPTIONS[i].name) == len && strncmp(OPTIONS[i].name, name, len) == 0) {
            return &OPTIONS[i];
        }
    }
    return NULL;
}

static bool read_bytes(const char *text, int64_t *ret)
{
    char *end = NULL;
    errno = 0;
    gint64 number = g_ascii_strtoll(text, &end, 10);
    if (end == text || errno != 0 || number < 0) {
        return false;
    }
    unsigned shift = 0;
    if (*end != '\0') {
        const char *units = "KMGT";
        const char *unit = strchr(units, g_ascii_toupper(*end));
        if (unit == NULL || end[1] != '\0') {
            return false;
        }
        shift = 10u * (unsigned)(unit - units + 1);
    }
    if (number > (INT64_MAX >> shift)) {
        return false;
    }
    *ret = number << shift;
    return true;
}

static int set_number(const struct option *option, int64_t *at, const char *value, struct err *why)
{
    if (option->kind == OPTION_BYTES) {
        if (!read_bytes(value, at)) {
            return err_set(why, ERR_LOCAL, EINVAL,
                "%s=%s is no size; write a number of bytes, or with K, M, G or T", option->name,
                value);
        }
        return 0;
    }
    unsigned base = option->kind == OPTION_OCTAL ? 8 : 10;
    gint64 number = 0;
    if (!g_ascii_string_to_signed(value, base, option->least, option->most, &number, NULL)) {
        if (base == 8) {
            return err_set(why, ERR_LOCAL, EINVAL,
                "%s=%s is not right; write an octal number from 0 to 777", option->name, value);
        }
        return err_set(why, ERR_LOCAL, EINVAL,
            "%s=%s is not right; write a number from %lld to %lld", option->name, value,
            (long long)option->least, (long long)option->most);
    }
    *at = number;
    return 0;
}

static void list_add(char ***list, const char *value)
{
    guint count = *list != NULL ? g_strv_length(*list) : 0;
    *list = g_renew(char *, *list, count + 2);
    (*list)[count] = g_strdup(value);
    (*list)[count + 1] = NULL;
}

static int set_flag(const struct option *option, bool *at, const char *value, struct err *why)
{
    if (value == NULL || strcmp(value, "yes") == 0) {
        *at = true;
        return 0;
    }
    if (strcmp(value, "no") == 0) {
        *at = false;
        return 0;
    }
    return err_set(
        why, ERR_LOCAL, EINVAL, "%s=%s is not right; write yes or no", option->name, value);
}

static int set_value(
    struct settings *settings, const struct option *option, const char *value, struct err *why)
{
    char *at = (char *)settings + option->offset;
    if (option->kind == OPTION_FLAG) {
        return set_flag(option, (bool *)(void *)at, value, why);
    }
    if (value == NULL || value[0] == '\0') {
        return err_set(why, ERR_LOCAL, EINVAL, "the option %s needs a value: %s=...", option->name,
            option->name);
    }
    switch (option->kind) {
    case OPTION_LIST:
        list_add((char ***)(void *)at, value);
        return 0;
    case OPTION_TEXT:
        g_free(*(char **)(void *)at);
        *(char **)(void *)at = g_strdup(value);
        return 0;
    case OPTION_NUMBER:
    case OPTION_BYTES:
    case OPTION_OCTAL:
        return set_number(option, (int64_t *)(void *)at, value, why);
    case OPTION_FLAG:
        break;
    }
    return err_set(why, ERR_BUG, EINVAL, "an option of no kind");
}

/* One "name=value" or "name" of -o. */
static int set_text(struct settings *settings, const char *text, struct err *why)
{
    const char *equals = strchr(text, '=');
    size_t len = equals != NULL ? (size_t)(equals - text) : strlen(text);
    const struct option *option = option_find(text, len);
    if (option != NULL) {
        return set_value(settings, option, equals != NULL ? equals + 1 : NULL, why);
    }
    if (g_strv_contains(PASSED_OVER, text) || g_str_has_prefix(text, "x-") ||
        g_str_has_prefix(text, "fsname=") || g_str_has_prefix(text, "subtype=")) {
        return 0;
    }
    if (strncmp(text, "pass", 4) == 0) {
        return err_set(why, ERR_LOCAL, EINVAL,
            "a password is never taken from the command line; use password_command, a netrc file "
            "or the prompt");
    }
    return err_set(why, ERR_LOCAL, EINVAL, "there is no option \"%.*s\"; imapfs --help lists them",
        (int)len, text);
}

/* ---- the command line ---- */

enum { KEY_FOREGROUND = 1, KEY_DEBUG, KEY_HELP, KEY_VERSION };

/* FUSE_OPT_KEY, whose -1U some compilers warn about. */
#define OPTION_KEY(text, key)                                                                      \
    {                                                                                              \
        text, UINT_MAX, key                                                                        \
    }

static const struct fuse_opt COMMAND_LINE[] = {
    OPTION_KEY("-f", KEY_FOREGROUND),
    OPTION_KEY("-d", KEY_DEBUG),
    OPTION_KEY("-h", KEY_HELP),
    OPTION_KEY("--help", KEY_HELP),
    OPTION_KEY("-V", KEY_VERSION),
    OPTION_KEY("--version", KEY_VERSION),
    FUSE_OPT_END,
};

struct command_line {
    struct settings *settings;
    char *source;
    GPtrArray
        *options; /* of -o, in order: they win over the configuration file, so they are set last */
    struct err *why;
};

static int take_word(struct command_line *line, const char *word)
{
    if (line->source == NULL) {
        line->source = g_strdup(word);
        return 0;
    }
    if (line->settings->mountpoint == NULL) {
        line->settings->mountpoint = g_strdup(word);
        return 0;
    }
    (void)err_set(line->why, ERR_LOCAL, EINVAL,
        "\"%s\" is one word too many; give SOURCE and MOUNTPOINT", word);
    return -1;
}

static int take_argument(void *data, const char *argument, int key, struct fuse_args *out UNUSED)
{
    struct command_line *line = data;
    switch (key) {
    case KEY_FOREGROUND:
        line->settings->foreground = true;
        return 0;
    case KEY_DEBUG:
        line->settings->debug = true;
        line->settings->foreground = true;
        return 0;
    case KEY_HELP:
        line->settings->show_help = true;
        return 0;
    case KEY_VERSION:
        line->settings->show_version = true;
        return 0;
    case FUSE_OPT_KEY_NONOPT:
        return take_word(line, argument);
    default:
        if (argument[0] == '-') {
            (void)err_set(line->why, ERR_LOCAL, EINVAL,
                "there is no option %s; imapfs --help lists them", argument);
            return -1;
        }
        g_ptr_array_add(line->options, g_strdup(argument));
        return 0;
    }
}

/* ---- the configuration file ---- */

static int section_apply(
    struct settings *settings, GKeyFile *file, const char *section, struct err *why)
{
    gsize count = 0;
    char **keys = g_key_file_get_keys(file, section, &count, NULL);
    int result = 0;
    for (gsize i = 0; keys != NULL && i < count && result == 0; i++) {
        if (strcmp(keys[i], "source") == 0) {
            continue;
        }
        CLEANUP(free) char *value = g_key_file_get_string(file, section, keys[i], NULL);
        const struct option *option = option_find(keys[i], strlen(keys[i]));
        if (value == NULL || option == NULL) {
            result = err_set(why, ERR_LOCAL, EINVAL,
                "the configuration file's section [%s] has no option \"%s\" to set", section,
                keys[i]);
        } else if (option->kind == OPTION_LIST) {
            char **parts = g_strsplit(value, ";", -1);
            for (char **part = parts; *part != NULL; part++) {
                if (**part != '\0') {
                    list_add((char ***)(void *)((char *)settings + option->offset), *part);
                }
            }
            g_strfreev(parts);
        } else {
            result = set_value(settings, option, value, why);
        }
    }
    g_strfreev(keys);
    return result;
}

/* The file names commands to run: nobody else may be able to write it. */
static int config_check(const char *path, struct err *why)
{
    struct stat info;
    if (stat(path, &info) < 0) {
        return -errno;
    }
    if ((info.st_uid != geteuid() && info.st_uid != 0) || (info.st_mode & 022) != 0) {
        return err_set(why, ERR_LOCAL, EACCES,
            "%s must be yours and writable by nobody else; run chmod go-w on it", path);
    }
    return 0;
}

static int config_load(GKeyFile *file, const char *path, struct err *why)
{
    int result = config_check(path, why);
    if (result == -ENOENT || result == -ENOTDIR) {
        return 0; /* no file, no settings: the sections are looked up in an empty one */
    }
    if (result < 0) {
        return why->errnum != 0 ? result
                                : err_set(why, ERR_LOCAL, -result, "%s cannot be read: %s", path,
                                      g_strerror(-result));
    }
    GError *error = NULL;
    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &error)) {
        result = err_set(why, ERR_LOCAL, EINVAL, "%s is not right: %s", path, error->message);
        g_error_free(error);
    }
    return result;
}

static int config_apply(
    struct settings *settings, GKeyFile *file, const char *source, struct err *why)
{
    int result = section_apply(settings, file, "defaults", why);
    if (result < 0) {
        return result;
    }
    if (!g_key_file_has_group(file, source) || strcmp(source, "defaults") == 0) {
        return source_parse(&settings->source, source, why);
    }
    CLEANUP(free) char *named = g_key_file_get_string(file, source, "source", NULL);
    if (named == NULL) {
        return err_set(why, ERR_LOCAL, EINVAL,
            "the account [%s] of the configuration file names no source", source);
    }
    result = section_apply(settings, file, source, why);
    return result < 0 ? result : source_parse(&settings->source, named, why);
}

static int complete(struct settings *settings, struct err *why)
{
    if (settings->source.user == NULL) {
        struct passwd entry;
        struct passwd *found = NULL;
        char text[4096];
        if (getpwuid_r(getuid(), &entry, text, sizeof text, &found) != 0 || found == NULL) {
            return err_set(why, ERR_LOCAL, EINVAL, "the source names no user; write USER@HOST");
        }
        settings->source.user = g_strdup(found->pw_name);
    }
    return 0;
}

static int apply(struct settings *settings, const struct command_line *line,
    const char *config_path, struct err *why)
{
    if (line->source == NULL || settings->mountpoint == NULL) {
        return err_set(why, ERR_LOCAL, EINVAL,
            "give SOURCE and MOUNTPOINT, as in: imapfs ann@imap.example.org ~/mail");
    }
    CLEANUP(free)
    char *path = config_path != NULL
                     ? g_strdup(config_path)
                     : g_build_filename(g_get_user_config_dir(), "imapfs", "config", NULL);
    GKeyFile *file = g_key_file_new();
    int result = config_load(file, path, why);
    if (result == 0) {
        result = config_apply(settings, file, line->source, why);
    }
    g_key_file_free(file);
    for (guint i = 0; result == 0 && i < line->options->len; i++) {
        result = set_text(settings, g_ptr_array_index(line->options, i), why);
    }
    return result < 0 ? result : complete(settings, why);
}

/* What libfuse would print about the command line: our own sentence is enough. */
static void say_nothing(
    enum fuse_log_level level UNUSED, const char *fmt UNUSED, va_list args UNUSED)
{
}

int settings_read(
    struct settings *ret, int argc, char **argv, const char *config_path, struct err *why)
{
    struct err own = ERR_INIT;
    why = why != NULL ? why : &own;
    struct settings settings = {.connections = 4,
        .cache_size_bytes = INT64_C(2) << 30,
        .timeout_s = 30,
        .max_age_s = 5,
        .uid = getuid(),
        .gid = getgid(),
        .umask = 077};
    struct command_line line = {&settings, NULL, g_ptr_array_new_with_free_func(g_free), why};
    struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
    int result = 0;
    fuse_set_log_func(say_nothing);
    if (fuse_opt_parse(&args, &line, COMMAND_LINE, take_argument) < 0) {
        result = why->errnum != 0 ? -why->errnum
                                  : err_set(why, ERR_LOCAL, EINVAL,
                                        "the command line is not right; see imapfs --help");
    } else if (!settings.show_help && !settings.show_version) {
        result = apply(&settings, &line, config_path, why);
    }
    fuse_set_log_func(NULL);
    fuse_opt_free_args(&args);
    g_ptr_array_unref(line.options);
    g_free(line.source);
    if (result < 0) {
        settings_finish(&settings);
        return result;
    }
    *ret = settings;
    return 0;
}

void settings_finish(struct settings *settings)
{
    source_finish(&settings->source);
    g_free(settings->mountpoint);
    for (size_t i = 0; i < G_N_ELEMENTS(OPTIONS); i++) {
        char *at = (char *)settings + OPTIONS[i].offset;
        if (OPTIONS[i].kind == OPTION_TEXT) {
            g_free(*(char **)(void *)at);
        } else if (OPTIONS[i].kind == OPTION_LIST) {
            g_strfreev(*(char ***)(void *)at);
        }
    }
    memset(settings, 0, sizeof *settings);
}

void settings_print_help(const char *program)
{
    printf("usage: %s [-f] [-d] [-o OPTION[,OPTION...]]... SOURCE MOUNTPOINT\n\n"
           "Mounts the mail of an IMAP account, read-only for now.\n\n"
           "SOURCE is [user@]host[:port][/mailbox], imaps://user@host[:port]/[mailbox], imap://... "
           "(STARTTLS),\n"
           "or the name of an account in ~/.config/imapfs/config.\n\n"
           "  -f  stay in the foreground     -d  the same, with a trace of the kernel's requests\n"
           "  -h  this help                  -V  the version\n\n"
           "Options of -o, which the configuration file knows by the same names:\n",
        program);
    for (size_t i = 0; i < G_N_ELEMENTS(OPTIONS); i++) {
        printf("  %-18s %s\n", OPTIONS[i].name, OPTIONS[i].meaning);
    }
    printf("\nUnmount with: fusermount3 -u MOUNTPOINT\n");
}
