#include "app/netrc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NETRC_MAX = 1 << 20 };

/* Reads one token (quotes and backslashes as curl and GNU inetutils take them); false at the end.
 */
static bool next_token(const char **at, struct buf *token)
{
    const char *c = *at;
    buf_reset(token);
    while (*c == ' ' || *c == '\t' || *c == '\r' || *c == '\n' || *c == '#') {
        c += *c == '#' ? strcspn(c, "\n") : 1;
    }
    if (*c == '\0') {
        *at = c;
        return false;
    }
    bool quoted = *c == '"';
    for (c += quoted ? 1 : 0; *c != '\0'; c++) {
        if (quoted ? *c == '"' : strchr(" \t\r\n", *c) != NULL) {
            break;
        }
        if (*c == '\\' && c[1] != '\0') {
            c++;
        }
        buf_append_char(token, *c);
    }
    *at = quoted && *c == '"' ? c + 1 : c;
    return true;
}

struct entry {
    bool open;      /* a machine line was seen */
    bool matches;   /* nothing in it contradicts */
    bool has_login; /* it names who */
    bool has_password;
};

static bool entry_is_it(const struct entry *entry)
{
    return entry->open && entry->matches && entry->has_login && entry->has_password;
}

static bool value_matches(const char *key, const char *value, const struct netrc_wanted *wanted)
{
    if (strcmp(key, "machine") == 0) {
        return strcasecmp(value, wanted->host) == 0;
    }
    if (strcmp(key, "port") == 0) {
        return strcmp(value, wanted->port) == 0 ||
               (strcmp(value, "imaps") == 0 && strcmp(wanted->port, "993") == 0) ||
               (strcmp(value, "imap") == 0 && strcmp(wanted->port, "143") == 0);
    }
    return strcmp(value, wanted->user) == 0;
}

static const char *text_of(const struct buf *token)
{
    return token->data != NULL ? token->data : "";
}

/* One key and its value of the entry that is open. */
static void entry_take(struct entry *entry, const char *key, const char *value,
    const struct netrc_wanted *wanted, struct buf *password)
{
    if (strcmp(key, "password") == 0) {
        buf_reset(password);
        buf_append_text(password, value);
        entry->has_password = true;
    } else if (strcmp(key, "machine") == 0 || strcmp(key, "port") == 0 ||
               strcmp(key, "login") == 0) {
        entry->matches = entry->matches && value_matches(key, value, wanted);
        entry->has_login = entry->has_login || strcmp(key, "login") == 0;
    }
}

/* A macro definition runs to the next blank line. */
static const char *past_macro(const char *text)
{
    const char *blank = strstr(text, "\n\n");
    return blank != NULL ? blank + 2 : text + strlen(text);
}

int netrc_find(const char *text, const struct netrc_wanted *wanted, struct buf *ret)
{
    CLEANUP(buf) struct buf key = BUF_INIT;
    CLEANUP(buf) struct buf value = BUF_INIT;
    CLEANUP(buf) struct buf password = BUF_INIT;
    struct entry entry = {0};
    bool more = true;
    while (more) {
        more = next_token(&text, &key);
        bool machine = more && strcmp(text_of(&key), "machine") == 0;
        bool other = more && strcmp(text_of(&key), "default") == 0;
        if ((!more || machine || other) && entry_is_it(&entry)) {
            buf_append(ret, password.data, password.len);
            explicit_bzero(password.data, password.len);
            return 1;
        }
        if (machine || other) {
            entry = (struct entry){.open = machine, .matches = true};
        }
        if (more && strcmp(text_of(&key), "macdef") == 0) {
            text = past_macro(text);
        } else if (more && !other && next_token(&text, &value)) {
            entry_take(&entry, text_of(&key), text_of(&value), wanted, &password);
        }
    }
    return 0;
}

static int netrc_check(int fd, const char *path, struct err *why)
{
    struct stat info;
    if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode)) {
        return err_set(why, ERR_AUTH, EACCES, "%s is no regular file", path);
    }
    if (info.st_uid != geteuid() || (info.st_mode & 077) != 0) {
        return err_set(why, ERR_AUTH, EACCES,
            "%s holds passwords and must be yours alone; run chmod 600 on it", path);
    }
    if (info.st_size > NETRC_MAX) {
        return err_set(why, ERR_AUTH, EACCES, "%s is too large for a netrc file", path);
    }
    return 0;
}

int netrc_read(
    const char *path, const struct netrc_wanted *wanted, struct buf *ret, struct err *why)
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            return 0;
        }
        return err_set(
            why, ERR_AUTH, EACCES, "%s cannot be read: %s", path, strerrordesc_np(errno));
    }
    int result = netrc_check(fd, path, why);
    if (result < 0) {
        return result;
    }
    CLEANUP(buf) struct buf text = BUF_INIT;
    char piece[4096];
    ssize_t got;
    while ((got = read(fd, piece, sizeof piece)) > 0 && text.len <= NETRC_MAX) {
        buf_append(&text, piece, (size_t)got);
    }
    buf_append_char(&text, '\0');
    result = netrc_find(text.data, wanted, ret);
    explicit_bzero(piece, sizeof piece);
    explicit_bzero(text.data, text.len);
    return result;
}
